{{/*
Refusals that concern the store, and an air gap.
*/}}

{{/* Pods that hold the store for as long as they live: {model: replicas}, and the mirror. */}}
{{- define "freehold.store.holders" -}}
{{- $holders := dict -}}
{{- range $model, $served := include "freehold.models" . | fromJson -}}
{{- $settings := include "freehold.engine.settings" (dict "root" $ "model" $model) | fromJson -}}
{{- $replicas := eq $settings.autoscaling.kind "none" | ternary $settings.replicas $settings.autoscaling.maxReplicas | int -}}
{{- $pods := eq $settings.multiNode.kind "none" | ternary $replicas (mul $replicas $settings.multiNode.size) | int -}}
{{- $_ := set $holders (printf "engines.%s" $model) $pods -}}
{{- end -}}
{{- if .Values.mirror.enabled }}{{ $_ := set $holders "mirror" (int .Values.mirror.replicas) }}{{ end -}}
{{- toJson $holders -}}
{{- end -}}

{{- define "freehold.checks.store" -}}
{{- $volume := .Values.store.volume -}}
{{- if and (eq $volume.kind "existingClaim") (not $volume.claim) -}}
{{- include "freehold.refuse" (dict "problem" "store.volume.kind is existingClaim, and store.volume.claim is empty." "fix" "Name the claim, or take kind=pvc.") -}}
{{- end -}}
{{- $isClaim := has $volume.kind (list "pvc" "existingClaim") -}}
{{- if and $isClaim (not (has "ReadWriteMany" $volume.accessModes)) -}}
{{- $holders := include "freehold.store.holders" . | fromJson -}}
{{- $pods := 0 -}}{{- $most := 0 -}}
{{- range $holders }}{{ $pods = add $pods . | int }}{{ $most = max $most (int .) | int }}{{ end -}}
{{- if or (gt $most 1) (and (gt $pods 1) (not $volume.singleNode)) -}}
{{- $list := list -}}
{{- range $holder, $count := $holders }}{{ $list = append $list (printf "%s: %d" $holder (int $count)) }}{{ end -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "store.volume is %s, and %d pods would hold it (%s): on a second node they would hang in Multi-Attach." (join ", " $volume.accessModes) $pods (join ", " $list))
  "fix" "Set store.volume.accessModes={ReadWriteMany} with a class that can, or store.volume.kind=ephemeral (a volume per pod), or, where several models with one replica each share one node, store.volume.singleNode=true.") -}}
{{- end -}}
{{- end -}}
{{- if and .Values.mirror.enabled (eq (include "freehold.store.puller" .) "pod") -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "mirror.enabled: with store.volume.kind=%s there is no store that all share, so the mirror would have nothing to show." $volume.kind)
  "fix" "Take store.volume.kind pvc, existingClaim or hostPath.") -}}
{{- end -}}
{{- end -}}

{{- define "freehold.checks.airGap" -}}
{{- if .Values.airGapped -}}
{{- $effective := include "freehold.effective" . | fromJson -}}
{{- range $name, $artifact := $effective.artifacts -}}
{{- if not $artifact.existing -}}
{{- if not $artifact.lock -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "airGapped: artifacts.%s has no lock, so nobody could say whether what was carried in is what was checked." $name)
  "fix" (printf "--set-file artifacts.%s.lock=freehold.lock (written by `freehold pull`), or artifacts.%s.existing=true for what is in the store already." $name $name)) -}}
{{- end -}}
{{- if and (not $.Values.hub.endpoint) (not (hasPrefix "/" $artifact.source)) (not (hasPrefix "./" $artifact.source)) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "airGapped: artifacts.%s comes from a hub, and there is none inside." $name)
  "fix" (printf "Set hub.endpoint to a mirror inside (`freehold mirror`), or artifacts.%s.existing=true for what is in the store already." $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $effective.deployment.upstreams -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "airGapped: requests would leave to deployment.upstreams.%s." (keys $effective.deployment.upstreams | sortAlpha | first))
  "fix" "Remove the upstreams and the routes to them, or airGapped.") -}}
{{- end -}}
{{- if (($effective.deployment.gateway | default dict).media | default dict).allowedDomains -}}
{{- include "freehold.refuse" (dict
  "problem" "airGapped: the gateway would fetch files from deployment.gateway.media.allowedDomains."
  "fix" "Remove them: requests can carry files as data: URLs.") -}}
{{- end -}}
{{- end -}}
{{- end -}}
