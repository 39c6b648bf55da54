{{/*
What cannot work is refused before anything is installed, with the fix.
*/}}

{{/* Ends the rendering: (dict "problem" … "fix" …). */}}
{{- define "freehold.refuse" -}}
{{- fail (printf "\n\n%s\n%s\n" .problem .fix) -}}
{{- end -}}

{{- define "freehold.checks" -}}
{{- include "freehold.checks.blocks" . -}}
{{- include "freehold.checks.names" . -}}
{{- include "freehold.checks.database" . -}}
{{- include "freehold.checks.secrets" . -}}
{{- include "freehold.checks.store" . -}}
{{- include "freehold.checks.airGap" . -}}
{{- include "freehold.checks.apis" . -}}
{{- range $model, $served := include "freehold.models" . | fromJson -}}
{{- $settings := include "freehold.engine.settings" (dict "root" $ "model" $model) | fromJson -}}
{{- $engine := dict "root" $ "model" $model "served" $served "settings" $settings -}}
{{- include "freehold.checks.accelerator" $engine -}}
{{- include "freehold.checks.scaling" $engine -}}
{{- include "freehold.checks.multiNode" $engine -}}
{{- include "freehold.checks.artifacts" $engine -}}
{{- end -}}
{{- range $name, $job := .Values.jobs -}}
{{- include "freehold.checks.job" (dict "root" $ "name" $name "job" (include "freehold.job.settings" (dict "root" $ "job" $job) | fromJson)) -}}
{{- end -}}
{{- end -}}

{{/* `null` removes a block, defaults and all; there is no chart without these. */}}
{{- define "freehold.checks.blocks" -}}
{{- range $path := list
  "global" "images" "images.toolkit" "images.engine" "images.ray" "images.jobs" "engineDefaults"
  "engineDefaults.accelerator" "engineDefaults.multiNode" "engineDefaults.autoscaling"
  "engineDefaults.autoscaling.metrics" "engineDefaults.podDisruptionBudget" "engineDefaults.prepare"
  "engineDefaults.attendant" "acceleratorProfiles" "hub" "hfToken" "hfToken.existingSecret" "store" "store.volume"
  "store.pull" "database" "database.existingSecret" "database.sqlite" "gateway" "gateway.adminKey"
  "gateway.adminKey.existingSecret" "gateway.data" "gateway.autoscaling" "gateway.podDisruptionBudget"
  "gateway.service" "gateway.ingress" "gateway.httpRoute" "mirror" "mirror.token" "mirror.token.existingSecret"
  "jobDefaults" "jobDefaults.accelerator" "monitoring" "monitoring.serviceMonitor" "monitoring.rules"
  "monitoring.rules.thresholds" "monitoring.dashboards" "networkPolicy" "networkPolicy.gateway"
  "networkPolicy.monitoring" "networkPolicy.dns" "networkPolicy.upstreams" "networkPolicy.hub"
  "networkPolicy.database" "serviceAccount" "podSecurity" "tests" "tests.key" "tests.key.existingSecret" -}}
{{- $place := $.Values -}}
{{- range splitList "." $path -}}
{{- $place = get ($place | default dict) . -}}
{{- end -}}
{{- if not (kindIs "map" $place) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "%s was set to null." $path)
  "fix" "Leave it out to keep its defaults, or set keys in it.") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A misspelt model would be run with defaults, without a word. */}}
{{- define "freehold.checks.names" -}}
{{- $effective := include "freehold.effective" . | fromJson -}}
{{- $models := keys (include "freehold.models" . | fromJson) | sortAlpha -}}
{{- range $name := keys $effective.engines | sortAlpha -}}
{{- if not (has $name $models) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "engines.%s: deployment.models has no model of that name that runs in an engine here." $name)
  "fix" (printf "Models with an engine: %s." (join ", " $models | default "none"))) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tests.model (not (hasKey $effective.deployment.models .Values.tests.model)) (not (hasKey ($effective.deployment.routes | default dict) .Values.tests.model)) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "tests.model: there is no model or route %q." .Values.tests.model)
  "fix" (printf "Models: %s." (keys $effective.deployment.models | sortAlpha | join ", "))) -}}
{{- end -}}
{{- if gt (($effective.deployment.gateway | default dict).workers | default 1 | int) 1 -}}
{{- include "freehold.refuse" (dict
  "problem" "deployment.gateway.workers: a gateway in a cluster is one process."
  "fix" "Remove it, and set gateway.replicas.") -}}
{{- end -}}
{{- if $effective.deployment.tuning -}}
{{- include "freehold.refuse" (dict
  "problem" "deployment.tuning: a gateway in a cluster has no GPU to tune on, so the chart does not offer fine-tuning through the API."
  "fix" "Remove it, and run `freehold finetune` as one of `jobs`.") -}}
{{- end -}}
{{- end -}}

{{- define "freehold.checks.database" -}}
{{- $gateway := .Values.gateway -}}
{{- if and (include "freehold.isSqlite" .) (or (gt (int $gateway.replicas) 1) $gateway.autoscaling.enabled) -}}
{{- include "freehold.refuse" (dict
  "problem" "gateway: several gateways cannot share SQLite, which is a file that one process owns."
  "fix" "Set database.kind=postgresql with database.existingSecret, or gateway.replicas=1 without autoscaling.") -}}
{{- end -}}
{{- $isNamed := ((get (include "freehold.effective" .  | fromJson) "deployment").gateway | default dict).database -}}
{{- if and (eq .Values.database.kind "postgresql") (not $isNamed) (not .Values.database.existingSecret.name) -}}
{{- include "freehold.refuse" (dict
  "problem" "database.existingSecret.name is empty, and PostgreSQL's URL holds a password."
  "fix" "kubectl create secret generic freehold-database --from-literal=url='postgresql://user:password@host/name', then --set database.existingSecret.name=freehold-database.") -}}
{{- end -}}
{{- $effective := include "freehold.effective" . | fromJson -}}
{{- if and (not (include "freehold.isSqlite" .)) (not $gateway.data.existingClaim) -}}
{{- range $name, $route := $effective.deployment.routes -}}
{{- if kindIs "map" $route.record -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "deployment.routes.%s.record: recordings would be lost with the gateway's pod." $name)
  "fix" "Set gateway.data.existingClaim to a claim (ReadWriteMany with several gateways), or remove `record`.") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "freehold.checks.secrets" -}}
{{- range $env, $place := include "freehold.secretNames" . | fromJson -}}
{{- $isOwn := or (eq $env "FREEHOLD_DATABASE_URL") (and (eq $env "FREEHOLD_ADMIN_KEY") $.Values.gateway.adminKey.existingSecret.name) -}}
{{- $isExtra := false -}}
{{- range $.Values.gateway.extraEnv }}{{ if eq .name $env }}{{ $isExtra = true }}{{ end }}{{ end -}}
{{- if not (or $isOwn $isExtra (hasKey $.Values.secretEnv $env)) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "deployment.%s takes a secret from the environment variable %s, and no secret is named for it." $place $env)
  "fix" (printf "Set secretEnv.%s to {name: <secret>, key: <key in it>}." $env)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

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

{{/* (dict "root" $ "api" "keda.sh/v1alpha1" "for" "…" "fix" "…") */}}
{{- define "freehold.checks.api" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "%s requires the API %s, which this cluster does not have." .for .api)
  "fix" (printf "%s For `helm template`, add --api-versions %s." .fix .api)) -}}
{{- end -}}
{{- end -}}

{{- define "freehold.checks.apis" -}}
{{- if .Values.gateway.httpRoute.enabled -}}
{{- include "freehold.checks.api" (dict "root" . "api" "gateway.networking.k8s.io/v1" "for" "gateway.httpRoute.enabled" "fix" "Install the Gateway API, or take gateway.ingress.") -}}
{{- if not .Values.gateway.httpRoute.parentRefs -}}
{{- include "freehold.refuse" (dict "problem" "gateway.httpRoute.parentRefs is empty, so no Gateway would carry the route." "fix" "Name one: [{name: my-gateway, namespace: gateways}].") -}}
{{- end -}}
{{- if .Values.gateway.ingress.enabled -}}
{{- include "freehold.refuse" (dict "problem" "gateway.ingress and gateway.httpRoute are both enabled." "fix" "Disable one of the two.") -}}
{{- end -}}
{{- end -}}
{{- end -}}

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
