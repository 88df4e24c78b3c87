openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj "/O=people/CN=ada" -out csr.pem 2>/dev/null
cat <<END
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: ada}
spec: {request: $(base64 -w0 < csr.pem), signerName: kubernetes.io/kube-apiserver-client, expirationSeconds: 86400, usages: [client auth]}
END
