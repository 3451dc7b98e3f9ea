{{- define "relay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "relay.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "relay.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "relay.selector" -}}
app.kubernetes.io/name: {{ include "relay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "relay.labels" -}}
{{ include "relay.selector" . }}
{{ include "relay.commonLabels" . }}
{{- end -}}

{{/* The labels that select nothing. */}}
{{- define "relay.commonLabels" -}}
{{- $ours := dict "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) -}}
{{- merge (deepCopy (default dict .Values.commonLabels)) $ours | toYaml -}}
{{- end -}}

{{/* (list . MORE): the labels of all objects with more of one of them, which count where both name the same. */}}
{{- define "relay.labelsWith" -}}
{{- merge (deepCopy (default dict (last .))) (include "relay.labels" (first .) | fromYaml) | toYaml -}}
{{- end -}}

{{/* Of the pod of `helm test`, which is no replica. */}}
{{- define "relay.testSelector" -}}
app.kubernetes.io/name: {{ include "relay.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "relay.testLabels" -}}
{{ include "relay.testSelector" . }}
{{ include "relay.commonLabels" . }}
{{- end -}}

{{- define "relay.serviceAccountName" -}}
{{- default (ternary (include "relay.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "relay.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* What the chart computes or wires itself: another value would break that. */}}
{{- define "relay.config" -}}
{{- range $key, $advice := dict "identity" "remove it" "server.host" "remove it" "server.port" "remove it" "server.drain_timeout" "set drain.streamsSeconds instead" "admin.host" "remove it" "admin.port" "remove it" "journal.path" "remove it" -}}
{{- $parts := splitList "." $key -}}
{{- $holder := ternary $.Values.config (default dict (get $.Values.config (first $parts))) (eq (len $parts) 1) -}}
{{- if hasKey $holder (last $parts) -}}
{{- fail (printf "config.%s is set by the chart; %s" $key $advice) -}}
{{- end -}}
{{- end -}}
{{- $server := dict "host" "0.0.0.0" "port" 8080 "drain_timeout" (printf "%ds" (int .Values.drain.streamsSeconds)) -}}
{{- $ours := dict "server" $server "admin" (dict "host" "0.0.0.0" "port" 9090) "journal" (dict "path" "/var/lib/relay/relay.db") -}}
{{- mergeOverwrite (deepCopy .Values.config) $ours | toYaml -}}
{{- end -}}

{{/* What the admin listener speaks. */}}
{{- define "relay.adminScheme" -}}
{{- ternary "https" "http" (not (empty (dig "admin" "tls" nil .Values.config))) -}}
{{- end -}}

{{/* The same for kubelet, whose default is HTTP. */}}
{{- define "relay.probeScheme" -}}
{{- if eq (include "relay.adminScheme" .) "https" }}, scheme: HTTPS{{ end -}}
{{- end -}}

{{/* How long preStop takes at most. */}}
{{- define "relay.preStopSeconds" -}}
{{- add (int .Values.drain.preStopSeconds) (int .Values.drain.publishSeconds) -}}
{{- end -}}

{{/* Whether the chart sees a token with which a replica can be asked to drain. */}}
{{- define "relay.hasApiToken" -}}
{{- $server := default dict .Values.config.server -}}
{{- $named := or $server.api_tokens $server.api_tokens_file .Values.extraEnvFrom -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "RELAY_SERVER__API_TOKENS" "RELAY_SERVER__API_TOKENS_FILE") -}}
{{- $named = .name -}}
{{- end -}}
{{- end -}}
{{- if $named -}}true{{- end -}}
{{- end -}}

{{/* The key of the values of what decides how many replicas run; empty if that is replicaCount. */}}
{{- define "relay.scaledBy" -}}
{{- if .Values.keda.enabled -}}keda{{- else if .Values.autoscaling.enabled -}}autoscaling{{- end -}}
{{- end -}}

{{/* How many replicas run; empty where nothing does, and where Helm does not ask the cluster (helm template). */}}
{{- define "relay.liveReplicas" -}}
{{- $live := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "relay.fullname" .) -}}
{{- if $live -}}
{{- int $live.spec.replicas -}}
{{- end -}}
{{- end -}}

{{/*
Under an autoscaler the number that runs: a field that an upgrade leaves out gets its default, which is 1. Where the number
is not known, it is left out; any other would undo what the autoscaler decided each time the manifest is applied.
*/}}
{{- define "relay.replicas" -}}
{{- if include "relay.scaledBy" . -}}
{{- include "relay.liveReplicas" . -}}
{{- else -}}
{{- .Values.replicaCount -}}
{{- end -}}
{{- end -}}

{{/*
A rolling update always has a partition. Kubernetes fills it in only where no type is given either, and without it the
StatefulSet's controller makes a pod that was not available yet again at the old revision, so that the update never ends.
*/}}
{{- define "relay.updateStrategy" -}}
{{- $chosen := default dict .Values.updateStrategy -}}
{{- $type := default "RollingUpdate" $chosen.type -}}
type: {{ $type }}
{{- if eq $type "RollingUpdate" }}
rollingUpdate:
  partition: {{ default 0 (default dict $chosen.rollingUpdate).partition }}
  {{- with (default dict $chosen.rollingUpdate).maxUnavailable }}
  maxUnavailable: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The given affinity, and a preference for zones without a replica, which does nothing where nodes have no zone. */}}
{{- define "relay.affinity" -}}
{{- $affinity := deepCopy (default dict .Values.affinity) -}}
{{- $anti := default dict $affinity.podAntiAffinity -}}
{{- $selector := dict "matchLabels" (include "relay.selector" . | fromYaml) -}}
{{- $zone := dict "weight" 100 "podAffinityTerm" (dict "topologyKey" "topology.kubernetes.io/zone" "labelSelector" $selector) -}}
{{- $preferred := append (default list $anti.preferredDuringSchedulingIgnoredDuringExecution) $zone -}}
{{- $anti = set $anti "preferredDuringSchedulingIgnoredDuringExecution" $preferred -}}
{{- set $affinity "podAntiAffinity" $anti | toYaml -}}
{{- end -}}

{{/* As the restricted Pod Security Standard asks: https://kubernetes.io/docs/concepts/security/pod-security-standards/ */}}
{{- define "relay.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.runAsUser }}
runAsGroup: {{ .Values.runAsUser }}
fsGroup: {{ .Values.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "relay.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
