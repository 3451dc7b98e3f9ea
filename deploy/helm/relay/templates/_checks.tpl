{{/* What no schema sees: values that are valid one by one, and together break a promise or each other. */}}
{{- define "relay.check" -}}
{{- $most := int (include "relay.mostReplicas" .) -}}
{{- if and (gt $most 1) (not .Values.allowRepeats) -}}
{{- with include "relay.unshared" . -}}
{{- fail (printf "%s allows %d replicas, but %s. A webhook that two replicas accept would then be two events. Set what is missing, or run one replica, or accept repeated events with allowRepeats: true. See docs/how-to/several-replicas.md" (include "relay.mostReplicasKey" $) $most .) -}}
{{- end -}}
{{- end -}}
{{- include "relay.checkScaling" . -}}
{{- include "relay.checkSize" . -}}
{{- include "relay.checkLabels" . -}}
{{- end -}}

{{- define "relay.checkScaling" -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- fail "autoscaling.enabled and keda.enabled are both true: two autoscalers would undo what the other decides. Choose one" -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.prometheus.serverAddress) -}}
{{- fail "keda.enabled needs keda.prometheus.serverAddress: the Prometheus that scrapes these replicas" -}}
{{- end -}}
{{- range $by := list "autoscaling" "keda" -}}
{{- $scaler := get $.Values $by -}}
{{- if and $scaler.enabled (gt (int $scaler.minReplicas) (int $scaler.maxReplicas)) -}}
{{- fail (printf "%s.minReplicas is %d, but %s.maxReplicas is %d" $by (int $scaler.minReplicas) $by (int $scaler.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels by which Services find the pods, and Helm its objects. */}}
{{- define "relay.checkLabels" -}}
{{- range $value := list "commonLabels" "podLabels" -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/managed-by" -}}
{{- if hasKey (default dict (get $.Values $value)) $label -}}
{{- fail (printf "%s sets %s, which is the chart's own: choose another label" $value $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Kubernetes refuses another size of the volumes in words that name no value. Compared only where both have the same unit:
the API writes 1024Mi as 1Gi.
*/}}
{{- define "relay.checkSize" -}}
{{- $live := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "relay.fullname" .) -}}
{{- $templates := default list (dig "spec" "volumeClaimTemplates" list $live) -}}
{{- if and .Values.persistence.enabled $templates -}}
{{- $old := (first $templates).spec.resources.requests.storage -}}
{{- $new := .Values.persistence.size -}}
{{- $sameUnit := eq (regexReplaceAll "[0-9.]" $old "") (regexReplaceAll "[0-9.]" $new "") -}}
{{- $sameNumber := eq (float64 (regexFind "^[0-9.]+" $old)) (float64 (regexFind "^[0-9.]+" $new)) -}}
{{- if and $sameUnit (not $sameNumber) -}}
{{- fail (printf "persistence.size is %s, but the volumes were made with %s, which Kubernetes does not change in a StatefulSet that exists. To grow them, run deploy/helm/grow-volumes.sh first. See docs/how-to/larger-volumes.md" $new $old) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How many replicas there may be at most, and the value that says so. */}}
{{- define "relay.mostReplicas" -}}
{{- with include "relay.scaledBy" . -}}
{{- (get $.Values .).maxReplicas -}}
{{- else -}}
{{- .Values.replicaCount -}}
{{- end -}}
{{- end -}}

{{- define "relay.mostReplicasKey" -}}
{{- with include "relay.scaledBy" . -}}{{- . -}}.maxReplicas{{- else -}}replicaCount{{- end -}}
{{- end -}}

{{/* The first sink on which several replicas would repeat each other, and what it lacks; empty if there is none. */}}
{{- define "relay.unshared" -}}
{{- $dedup := default dict .Values.config.dedup -}}
{{- $index := or $dedup.shared_index $dedup.shared_index_file -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "RELAY_DEDUP__SHARED_INDEX" "RELAY_DEDUP__SHARED_INDEX_FILE") -}}
{{- $index = .name -}}
{{- end -}}
{{- end -}}
{{- $lacking := list -}}
{{- range $position, $sink := .Values.config.sinks -}}
{{- if eq (toString $sink.type) "redis" -}}
{{- if not $sink.shared_window -}}
{{- $lacking = append $lacking (printf "config.sinks[%d], a Redis, has no shared_window" $position) -}}
{{- end -}}
{{- else if not $index -}}
{{- $lacking = append $lacking (printf "config.sinks[%d] is %s and config.dedup.shared_index is not set" $position $sink.type) -}}
{{- end -}}
{{- end -}}
{{- if not .Values.config.sinks -}}
{{- $lacking = append $lacking "config.sinks is empty, so that the events of each replica are in its own journal only" -}}
{{- end -}}
{{- first (append $lacking "") -}}
{{- end -}}
