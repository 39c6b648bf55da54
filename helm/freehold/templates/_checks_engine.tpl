{{/*
Refusals that concern one model or one job.
*/}}

{{- define "freehold.checks.accelerator" -}}
{{- $profiles := keys .root.Values.acceleratorProfiles | sortAlpha -}}
{{- if not (has .settings.accelerator.profile $profiles) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "engines.%s.accelerator.profile: there is no profile %q." .model .settings.accelerator.profile)
  "fix" (printf "Profiles: %s. Add one under acceleratorProfiles." (join ", " $profiles))) -}}
{{- end -}}
{{- if and (eq .settings.accelerator.profile "dra") (semverCompare "<1.32.0-0" .root.Capabilities.KubeVersion.Version) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "engines.%s.accelerator.profile: dra requires Kubernetes 1.32, and this is %s." .model .root.Capabilities.KubeVersion.Version)
  "fix" "Take a profile with a resource name, for example nvidia.") -}}
{{- end -}}
{{- $parallel := (.served.engine | default dict).tensorParallel | default 1 | int -}}
{{- $held := mul (.settings.accelerator.count | int) (eq .settings.multiNode.kind "none" | ternary 1 (.settings.multiNode.size | int)) | int -}}
{{- if and (not (include "freehold.engine.isCpu" .)) (gt $parallel $held) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "deployment.models.%s.engine.tensorParallel is %d, and the engine would hold %d accelerators." .model $parallel $held)
  "fix" (printf "Set engines.%s.accelerator.count=%d (or multiNode.size)." .model $parallel)) -}}
{{- end -}}
{{- end -}}

{{- define "freehold.checks.scaling" -}}
{{- $scaling := .settings.autoscaling -}}
{{- $own := get (get (include "freehold.effective" .root | fromJson) "engines") .model | default dict -}}
{{- if ne $scaling.kind "none" -}}
{{- if hasKey $own "replicas" -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "engines.%s: replicas and autoscaling.kind=%s are both set, and only one can own the number." .model $scaling.kind)
  "fix" "Remove replicas, or take autoscaling.kind=none.") -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- include "freehold.refuse" (dict "problem" (printf "engines.%s.autoscaling: minReplicas is more than maxReplicas." .model) "fix" "Swap them.") -}}
{{- end -}}
{{- if eq .settings.multiNode.kind "rayService" -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "engines.%s: a RayService here is one engine, which no autoscaler can multiply." .model)
  "fix" "Take multiNode.kind=leaderWorkerSet, or autoscaling.kind=none.") -}}
{{- end -}}
{{- end -}}
{{- if and (eq $scaling.kind "hpa") (lt (int $scaling.minReplicas) 1) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "engines.%s.autoscaling: a HorizontalPodAutoscaler does not scale to zero." .model)
  "fix" "Set minReplicas=1, or kind=keda.") -}}
{{- end -}}
{{- if eq $scaling.kind "keda" -}}
{{- if not $scaling.prometheus -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "engines.%s.autoscaling.prometheus is empty, and KEDA has to ask somebody how long the queue is." .model)
  "fix" "For example http://prometheus-operated.monitoring:9090.") -}}
{{- end -}}
{{- include "freehold.checks.api" (dict "root" .root "api" "keda.sh/v1alpha1" "for" (printf "engines.%s.autoscaling.kind=keda" .model) "fix" "Install KEDA, or take kind=hpa.") -}}
{{- end -}}
{{- end -}}

{{- define "freehold.checks.multiNode" -}}
{{- $kind := .settings.multiNode.kind -}}
{{- if eq $kind "leaderWorkerSet" -}}
{{- include "freehold.checks.api" (dict "root" .root "api" "leaderworkerset.x-k8s.io/v1" "for" (printf "engines.%s.multiNode.kind=leaderWorkerSet" .model) "fix" "Install LeaderWorkerSet, or take rayService.") -}}
{{- else if eq $kind "rayService" -}}
{{- include "freehold.checks.api" (dict "root" .root "api" "ray.io/v1" "for" (printf "engines.%s.multiNode.kind=rayService" .model) "fix" "Install KubeRay, or take leaderWorkerSet.") -}}
{{- if gt (int .settings.replicas) 1 -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "engines.%s: a RayService here is one engine, and replicas is %d." .model (int .settings.replicas))
  "fix" "Take multiNode.kind=leaderWorkerSet for several.") -}}
{{- end -}}
{{- end -}}
{{- if and (ne $kind "none") (lt (int .settings.multiNode.size) 2) -}}
{{- include "freehold.refuse" (dict "problem" (printf "engines.%s.multiNode.size is 1, and %s is for several machines." .model $kind) "fix" "Take size 2 or more, or kind=none.") -}}
{{- end -}}
{{- end -}}

{{- define "freehold.checks.artifacts" -}}
{{- $artifacts := get (include "freehold.effective" .root | fromJson) "artifacts" -}}
{{- range include "freehold.model.artifacts" .served | fromJsonArray -}}
{{- if not . -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "deployment.models.%s: it or one of its adapters names no artifact, and an engine here loads one." $.model)
  "fix" (printf "Set deployment.models.%s.artifact, or engine.kind=remote." $.model)) -}}
{{- end -}}
{{- if not (hasKey $artifacts .) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "deployment.models.%s needs the artifact %q, and `artifacts` does not say where it comes from." $.model .)
  "fix" (printf "Set artifacts.%s.source (for example owner/name@commit), or artifacts.%s.existing=true if the store holds it." . .)) -}}
{{- end -}}
{{- $artifact := get $artifacts . -}}
{{- if and (not $artifact.existing) (not $artifact.source) -}}
{{- include "freehold.refuse" (dict "problem" (printf "artifacts.%s has neither source nor existing=true." .) "fix" "Give one of the two.") -}}
{{- end -}}
{{- if and $artifact.existing (eq (include "freehold.store.puller" $.root) "pod") (eq $.root.Values.store.volume.kind "ephemeral") -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "artifacts.%s.existing: a volume per pod is empty at first, so nothing exists in it." .)
  "fix" "Give a source, or take another store.volume.kind.") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "freehold.checks.job" -}}
{{- $profiles := keys .root.Values.acceleratorProfiles | sortAlpha -}}
{{- if not (has .job.accelerator.profile $profiles) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "jobs.%s.accelerator.profile: there is no profile %q." .name .job.accelerator.profile)
  "fix" (printf "Profiles: %s." (join ", " $profiles))) -}}
{{- end -}}
{{- if and (eq .job.accelerator.profile "dra") (not .job.accelerator.claimTemplate) -}}
{{- include "freehold.refuse" (dict "problem" (printf "jobs.%s.accelerator.claimTemplate is empty." .name) "fix" "Name a ResourceClaimTemplate, or take another profile.") -}}
{{- end -}}
{{- if eq (include "freehold.store.puller" .root) "pod" -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "jobs.%s: with store.volume.kind=%s there is no store that all share, so its result would be lost." .name .root.Values.store.volume.kind)
  "fix" "Take store.volume.kind pvc, existingClaim or hostPath.") -}}
{{- end -}}
{{- end -}}
