//! The order of fields in JSON that the original writes from Go's types, not from what the server sent:
//! objects of its own making, and those that `set` and the like have decoded.
//!
//! Of the types that such objects are made of (`k8s.io/api`, `types.go`), by the field that holds them. Fields
//! that are not named follow by name, as keys of maps do.

/// `(field, the fields of what it holds)`; the whole object is held by none.
const FIELDS: &[(&str, &str)] = &[
    (
        "",
        "kind apiVersion preferences clusters users contexts current-context metadata spec status immutable data binaryData stringData type secrets imagePullSecrets \
         automountServiceAccountToken rules aggregationRule subjects roleRef value globalDefault description \
         preemptionPolicy defaults aliases credentialPluginPolicy credentialPluginAllowlist",
    ),
    ("defaults", "command options"),
    ("aliases", "name command prependArgs appendArgs options"),
    (
        "metadata",
        "name generateName namespace selfLink uid resourceVersion generation creationTimestamp deletionTimestamp \
         deletionGracePeriodSeconds labels annotations ownerReferences finalizers managedFields",
    ),
    ("clusters", "name cluster"),
    (
        "cluster",
        "server tls-server-name insecure-skip-tls-verify certificate-authority certificate-authority-data proxy-url \
         disable-compression",
    ),
    ("users", "name user"),
    (
        "user",
        "client-certificate client-certificate-data client-key client-key-data token tokenFile as as-uid as-groups \
         as-user-extra username password auth-provider exec",
    ),
    ("contexts", "name context"),
    ("context", "cluster user namespace"),
    ("auth-provider", "name config"),
    ("exec", "command args env apiVersion installHint provideClusterInfo interactiveMode"),
    ("userInfo", "username uid groups extra"),
    ("ownerReferences", "apiVersion kind name uid controller blockOwnerDeletion"),
    (
        "spec",
        "replicas parallelism completions minAvailable volumes initContainers containers ephemeralContainers \
         restartPolicy terminationGracePeriodSeconds activeDeadlineSeconds podFailurePolicy successPolicy \
         backoffLimit backoffLimitPerIndex maxFailedIndexes ports selector manualSelector maxUnavailable \
         unhealthyPodEvictionPolicy template strategy minReadySeconds revisionHistoryLimit paused \
         progressDeadlineSeconds ttlSecondsAfterFinished completionMode schedule timeZone startingDeadlineSeconds \
         concurrencyPolicy suspend podReplacementPolicy managedBy jobTemplate successfulJobsHistoryLimit \
         failedJobsHistoryLimit clusterIP clusterIPs type externalIPs sessionAffinity loadBalancerIP \
         loadBalancerSourceRanges externalName externalTrafficPolicy healthCheckNodePort publishNotReadyAddresses \
         sessionAffinityConfig ipFamilies ipFamilyPolicy allocateLoadBalancerNodePorts loadBalancerClass \
         internalTrafficPolicy trafficDistribution ingressClassName defaultBackend tls rules hard scopes \
         scopeSelector scaleTargetRef minReplicas maxReplicas targetCPUUtilizationPercentage dnsPolicy nodeSelector \
         serviceAccountName serviceAccount automountServiceAccountToken nodeName hostNetwork hostPID hostIPC \
         shareProcessNamespace securityContext imagePullSecrets hostname subdomain affinity schedulerName \
         tolerations hostAliases priorityClassName priority dnsConfig readinessGates runtimeClassName \
         enableServiceLinks preemptionPolicy overhead topologySpreadConstraints setHostnameAsFQDN os hostUsers \
         schedulingGates resourceClaims resources",
    ),
    (
        "status",
        "observedGeneration hard used lastScaleTime currentReplicas desiredReplicas replicas updatedReplicas \
         readyReplicas availableReplicas unavailableReplicas disruptedPods disruptionsAllowed currentHealthy \
         desiredHealthy expectedPods phase conditions message reason nominatedNodeName hostIP hostIPs podIP podIPs \
         startTime initContainerStatuses containerStatuses qosClass collisionCount loadBalancer",
    ),
    ("conditions", "type status observedGeneration lastProbeTime lastUpdateTime lastTransitionTime reason message"),
    ("template", "metadata spec"),
    ("jobTemplate", "metadata spec"),
    ("selector", "matchLabels matchExpressions"),
    ("matchExpressions", "key operator values"),
    ("strategy", "type rollingUpdate"),
    ("rollingUpdate", "maxUnavailable maxSurge"),
    ("initContainers", CONTAINER),
    ("containers", CONTAINER),
    ("ports", "name hostPort containerPort protocol hostIP appProtocol port targetPort nodePort"),
    ("env", "name value valueFrom"),
    ("envFrom", "prefix configMapRef secretRef"),
    ("valueFrom", "fieldRef resourceFieldRef configMapKeyRef secretKeyRef"),
    ("configMapKeyRef", "name key optional"),
    ("secretKeyRef", "name key optional"),
    ("resources", "limits requests claims"),
    ("volumeMounts", "name readOnly recursiveReadOnly mountPath subPath mountPropagation subPathExpr"),
    ("livenessProbe", PROBE),
    ("readinessProbe", PROBE),
    ("startupProbe", PROBE),
    ("volumes", "name"),
    ("configMap", "name items defaultMode optional"),
    ("secret", "secretName name items defaultMode optional"),
    ("projected", "sources defaultMode"),
    ("serviceAccountToken", "audience expirationSeconds path"),
    ("tolerations", "key operator value effect tolerationSeconds"),
    ("rules", "host http verbs apiGroups resources resourceNames nonResourceURLs"),
    ("subjects", "kind apiGroup name namespace"),
    ("roleRef", "apiGroup kind name"),
    ("tls", "hosts secretName"),
    ("paths", "path pathType backend"),
    ("backend", "service resource"),
    ("service", "name port"),
    ("port", "name number"),
    ("scaleTargetRef", "kind name apiVersion"),
];
const CONTAINER: &str = "name image command args workingDir ports envFrom env resources resizePolicy restartPolicy \
                         volumeMounts volumeDevices livenessProbe readinessProbe startupProbe lifecycle \
                         terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin \
                         stdinOnce tty";
const PROBE: &str = "exec httpGet tcpSocket grpc initialDelaySeconds timeoutSeconds periodSeconds successThreshold \
                     failureThreshold";

/// Where a field stands among those of what `parent` holds.
pub fn place(parent: &str, field: &str) -> usize {
    let fields = FIELDS.iter().find(|(holder, _)| *holder == parent).map_or("", |(_, fields)| fields);
    fields.split_ascii_whitespace().position(|known| known == field).unwrap_or(usize::MAX)
}
