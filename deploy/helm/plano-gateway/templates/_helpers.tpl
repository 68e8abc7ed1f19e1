{{- define "plano-gateway.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* The name of the resources: that of the release, with that of the chart unless it has it already. */}}
{{- define "plano-gateway.fullname" -}}
{{- $name := include "plano-gateway.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "plano-gateway.selector" -}}
app.kubernetes.io/name: {{ include "plano-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "plano-gateway.labels" -}}
{{ include "plano-gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "plano-gateway.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The text of a setting. YAML reads `on` as true, and Helm reads every number as a fraction. */}}
{{- define "plano-gateway.text" -}}
{{- if kindIs "bool" . -}}
{{ ternary "on" "off" . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end }}

{{/* `GATEWAY_DATABASE_URL` as part of a name: `database-url`. */}}
{{- define "plano-gateway.dashed" -}}
{{ . | trimPrefix "GATEWAY_" | lower | replace "_" "-" }}
{{- end }}

{{/*
Settings and secrets as variables. A setting that is secret is a file. Takes a list: the context,
and the secrets by the name of their variable.
*/}}
{{- define "plano-gateway.env" -}}
{{- $values := (index . 0).Values -}}
{{- $secrets := index . 1 -}}
- {name: GATEWAY_DATA_DIR, value: /var/lib/plano-gateway}
{{- range $name, $value := $values.settings }}
{{- if not (hasKey $secrets $name) }}
- {name: {{ $name }}, value: {{ include "plano-gateway.text" $value | quote }}}
{{- end }}
{{- end }}
{{- range $name, $secret := $secrets }}
{{- if hasPrefix "GATEWAY_" $name }}
- {name: {{ $name }}_FILE, value: /etc/plano-gateway/{{ include "plano-gateway.dashed" $name }}/value}
{{- else }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $secret.name }}, key: {{ $secret.key }}}}
{{- end }}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "plano-gateway.mounts" -}}
- {name: snapshot, mountPath: /var/lib/plano-gateway}
- {name: tmp, mountPath: /tmp}
{{- range $name, $secret := index . 1 }}
{{- if hasPrefix "GATEWAY_" $name }}
- name: {{ include "plano-gateway.dashed" $name }}
  mountPath: /etc/plano-gateway/{{ include "plano-gateway.dashed" $name }}
  readOnly: true
{{- end }}
{{- end }}
{{- with (index . 0).Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "plano-gateway.volumes" -}}
{{- $values := (index . 0).Values -}}
{{- range $name, $secret := index . 1 }}
{{- if hasPrefix "GATEWAY_" $name }}
- name: {{ include "plano-gateway.dashed" $name }}
  secret:
    secretName: {{ $secret.name }}
    defaultMode: 0440
    items: [{key: {{ $secret.key }}, path: value}]
{{- end }}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the pods of the Deployment and of the Job have in common. */}}
{{- define "plano-gateway.pod" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
automountServiceAccountToken: false
# Kubernetes would set GATEWAY_… variables for a Service named gateway.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "plano-gateway.container" -}}
image: {{ include "plano-gateway.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Refuses values that the schema cannot judge, since they depend on each other. */}}
{{- define "plano-gateway.check" -}}
{{- range $name, $secret := .Values.secrets }}
{{- if hasKey $.Values.settings $name }}
{{- fail (printf "%s is in `settings` and in `secrets`: remove one of them" $name) }}
{{- end }}
{{- end }}
{{- if not (or (hasKey .Values.secrets "GATEWAY_DATABASE_URL") (hasKey .Values.settings "GATEWAY_DATABASE_URL")) }}
{{- fail "GATEWAY_DATABASE_URL is missing. Create a Secret, `kubectl create secret generic plano-gateway --from-file=database-url`, and name it: `secrets: {GATEWAY_DATABASE_URL: {name: plano-gateway, key: database-url}}`" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.cpuPercent) (not .Values.autoscaling.inFlight.perPod) }}
{{- fail "autoscaling has no target: set autoscaling.cpuPercent or autoscaling.inFlight.perPod" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "the Ingress has no host: set ingress.hosts" }}
{{- end }}
{{- end }}
