#!/usr/bin/env bash
# Grows the volumes of a release: grow-volumes.sh STATEFULSET SIZE [options of kubectl, such as --namespace events]
# No pod is restarted. What it does, and what to do afterwards: docs/how-to/larger-volumes.md
set -euo pipefail
usage="usage: $0 STATEFULSET SIZE [options of kubectl]"
name=${1:?$usage} size=${2:?$usage}
shift 2
kube() { kubectl --request-timeout=30s "$@"; }
stop() {
  echo "$1 Nothing was changed." >&2
  exit 1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
kube get statefulset "$name" -o json "$@" >"$scratch/old.json"

# Claims go with their StatefulSet where this says so, and it is made again below.
kept=$(kube get statefulset "$name" -o jsonpath='{.spec.persistentVolumeClaimRetentionPolicy.whenDeleted}' "$@")
[[ $kept != Delete ]] || stop "The volumes are deleted with the StatefulSet: set persistence.retentionPolicy.whenDeleted to Retain first."

labels=$(kube get statefulset "$name" -o go-template='{{range $key, $value := .spec.selector.matchLabels}}{{$key}}={{$value}},{{end}}' "$@")
mapfile -t claims < <(kube get persistentvolumeclaims --selector "${labels%,}" -o name "$@")
((${#claims[@]})) || stop "$name has no volumes."
for claim in "${claims[@]}"; do
  class=$(kube get "$claim" -o jsonpath='{.spec.storageClassName}' "$@")
  [[ $(kube get storageclass "$class" -o jsonpath='{.allowVolumeExpansion}' "$@") == true ]] ||
    stop "The storage class $class of $claim does not allow volumes to grow (allowVolumeExpansion)."
done

for claim in "${claims[@]}"; do
  kube patch "$claim" --type merge --patch "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"$size\"}}}}" "$@"
done

# Kubernetes changes no volumeClaimTemplates: the StatefulSet is made again, and takes its running pods over.
template="[{\"op\":\"replace\",\"path\":\"/spec/volumeClaimTemplates/0/spec/resources/requests/storage\",\"value\":\"$size\"}]"
kubectl patch --local --filename "$scratch/old.json" --type json --patch "$template" -o json >"$scratch/new.json"
# Not validated: it is what the API itself answered.
if ! kube replace --force --cascade=orphan --timeout=60s --validate=false --filename "$scratch/new.json" "$@"; then
  cp "$scratch/new.json" "$name.json"
  echo "The pods go on running. Create their StatefulSet, if it is gone: kubectl create -f $name.json $*" >&2
  exit 1
fi
echo "Now set persistence.size=$size in the values, and upgrade."
