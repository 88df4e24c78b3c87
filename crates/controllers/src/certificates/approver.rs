//! Approves the client certificates that kubelets ask for (`pkg/controller/certificates/approver`).

use std::rc::Rc;

use client::{Client, Context, Informer};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use machinery::ObjectKey;
use machinery::status::ApiError;
use machinery::time::meta_time;

use super::{KUBELET_CLIENT, Requested, certificate, check_kubelet_client, has, observe};
use crate::controller::{Controller, Queue};
use crate::{Options, Setup};

/// What a kubelet needs to be allowed, and what its approval says. A kubelet that asks for its own
/// name comes first.
const RECOGNIZED: [(&str, &str); 2] = [
    ("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."),
    ("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."),
];

/// The approver.
pub struct CertificateApprover {
    client: Client,
    options: Rc<Options>,
    requests: Informer<CertificateSigningRequest>,
}

impl CertificateApprover {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), options: setup.options.clone(), requests: setup.informers.informer() }
    }

    fn may(&self, request: &CertificateSigningRequest, subresource: &str) -> Result<bool, ApiError> {
        let asked = ResourceAttributes {
            group: Some("certificates.k8s.io".into()),
            resource: Some("certificatesigningrequests".into()),
            verb: Some("create".into()),
            subresource: Some(subresource.into()),
            ..ResourceAttributes::default()
        };
        let spec = &request.spec;
        let review = self.client.create(SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: spec.username.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra: spec.extra.clone(),
                resource_attributes: Some(asked),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        })?;
        Ok(review.status.as_ref().is_some_and(|status| status.allowed))
    }
}

impl Controller for CertificateApprover {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        observe(&mut self.requests, cx, queue);
    }

    fn synced(&self) -> bool {
        self.requests.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let (Some(authority), Some(request)) = (&self.options.authority, self.requests.get(key)) else { return Ok(()) };
        let decided = certificate(&request).is_some() || has(&request, "Approved") || has(&request, "Denied");
        if decided || request.spec.signer_name != KUBELET_CLIENT {
            return Ok(());
        }
        let Ok(requested) = authority.read(&request.spec.request.0) else { return Ok(()) };
        for (subresource, message) in RECOGNIZED {
            if recognizes(&request, &requested, subresource) && self.may(&request, subresource)? {
                let mut approved = (*request).clone();
                let conditions = approved.status.get_or_insert_default().conditions.get_or_insert_default();
                conditions.push(CertificateSigningRequestCondition {
                    type_: "Approved".into(),
                    status: "True".into(),
                    reason: Some("AutoApproved".into()),
                    message: Some(message.into()),
                    last_update_time: Some(meta_time(queue.now())),
                    ..CertificateSigningRequestCondition::default()
                });
                return self.client.replace(approved, "approval").map(drop);
            }
        }
        Ok(())
    }
}

fn recognizes(request: &CertificateSigningRequest, requested: &Requested, subresource: &str) -> bool {
    let own = request.spec.username.as_deref() == Some(requested.common_name.as_str());
    let usages = request.spec.usages.as_deref().unwrap_or_default();
    (own || subresource != "selfnodeclient") && check_kubelet_client(requested, usages).is_ok()
}
