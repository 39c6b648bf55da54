{{/*
Claims of volumes. Helm leaves one with `resource-policy: keep` alone that a release no longer has, and Helm 3 then cannot
roll back to a revision that had it ("no PersistentVolumeClaim with the name … found"). So every install and upgrade takes
the kept claims that exist into the release: with the spec with which each was made, since nothing of that may change, but
for its size, which may have grown.
*/}}

{{/* (dict "root" $ "component" "store" "name" name "volume" (dict "accessModes" "storageClass" "size" "keep")) */}}
{{- define "freehold.claim" -}}
{{- $spec := dict "accessModes" .volume.accessModes "resources" (dict "requests" (dict "storage" .volume.size)) -}}
{{- with .volume.storageClass -}}
{{- $_ := set $spec "storageClassName" . -}}
{{- end -}}
{{- include "freehold.claim.object" (dict "root" .root "component" .component "name" .name "spec" $spec "keep" .volume.keep) -}}
{{- end -}}

{{- define "freehold.claim.object" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  labels:
    {{- include "freehold.labels" (dict "root" .root "component" .component) | nindent 4 }}
  {{- if .keep }}
  annotations:
    helm.sh/resource-policy: keep
    freehold.dev/claim: {{ .spec | toJson | quote }}
  {{- end }}
spec:
  {{- toYaml .spec | nindent 2 }}
{{- end -}}

{{/* Whether SQLite's volume is made here. */}}
{{- define "freehold.database.hasClaim" -}}
{{- if and (include "freehold.isSqlite" .) (not .Values.gateway.data.existingClaim) -}}true{{- end -}}
{{- end -}}

{{/* Claims that an earlier revision of this release has left: a list of (dict "name" "component" "spec" "isUsed"), where a
used one is named by the values as somebody's existing claim. None where no cluster is asked. */}}
{{- define "freehold.claims.left" -}}
{{- $own := list -}}
{{- if eq .Values.store.volume.kind "pvc" -}}{{- $own = append $own (include "freehold.store.name" .) -}}{{- end -}}
{{- if include "freehold.database.hasClaim" . -}}{{- $own = append $own (include "freehold.database.name" .) -}}{{- end -}}
{{- $named := list .Values.store.volume.claim .Values.gateway.data.existingClaim .Values.jobDefaults.dataClaim -}}
{{- range .Values.jobs -}}{{- $named = append $named .dataClaim -}}{{- end -}}
{{- $left := list -}}
{{- range (lookup "v1" "PersistentVolumeClaim" .Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $notes := .metadata.annotations | default dict -}}
{{- $isOurs := and (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) (eq (get $labels "app.kubernetes.io/name") $.Chart.Name) (eq (get $notes "meta.helm.sh/release-name") $.Release.Name) -}}
{{- if and $isOurs (get $notes "freehold.dev/claim") (not (has .metadata.name $own)) (not .metadata.deletionTimestamp) -}}
{{- $spec := get $notes "freehold.dev/claim" | fromJson -}}
{{- $_ := set $spec "resources" (dict "requests" (dict "storage" .spec.resources.requests.storage)) -}}
{{- $left = append $left (dict "name" .metadata.name "component" (get $labels "app.kubernetes.io/component") "spec" $spec "isUsed" (has .metadata.name $named)) -}}
{{- end -}}
{{- end -}}
{{- dict "items" $left | toJson -}}
{{- end -}}
