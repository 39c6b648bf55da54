{{/*
What cannot work is refused before anything is installed, with the fix. Rendered first (validation/checks.yaml).
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
{{- include "freehold.checks.policy" . -}}
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

{{/* A file of somebody's machine is in no pod. */}}
{{- define "freehold.checks.policy" -}}
{{- if (get (include "freehold.effective" . | fromJson) "deployment").policy -}}
{{- include "freehold.refuse" (dict
  "problem" "deployment.policy names a file, which no pod has."
  "fix" "Write its rules under `policy`, beside `deployment`.") -}}
{{- end -}}
{{- $signatures := (.Values.policy | default dict).signatures | default dict -}}
{{- range $kind := list "keys" "certificates" -}}
{{- range $given := get $signatures $kind | default list -}}
{{- if not (contains "-----BEGIN" $given) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "policy.signatures.%s: %q is a file, which no pod has." $kind $given)
  "fix" "Write the PEM text itself, as a block (`- |`).") -}}
{{- end -}}
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
{{- range $name, $model := $effective.deployment.models -}}
{{- if eq "ray" ((($model).engine | default dict).kind | default "process") -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "deployment.models.%s.engine.kind: ray is for `freehold serve` on a Ray cluster; here the chart runs the engines." $name)
  "fix" (printf "Remove it (`freehold deploy values` does); for an engine over several machines set engines.%s.multiNode.kind=rayService." $name)) -}}
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
{{- if include "freehold.database.hasClaim" . -}}
{{- $name := include "freehold.database.name" . -}}
{{- $live := lookup "v1" "PersistentVolumeClaim" .Release.Namespace $name -}}
{{- $notes := ($live.metadata | default dict).annotations | default dict -}}
{{- $made := get $notes "freehold.dev/claim" | default "{}" | fromJson -}}
{{- $class := $made.storageClassName | default "" -}}
{{- $asked := .Values.database.sqlite.storageClass | default "" -}}
{{- if and $made (ne $class $asked) -}}
{{- include "freehold.refuse" (dict
  "problem" (printf "database.sqlite.storageClass is %q, and the claim %s, which holds keys and usage, was made with %q; that cannot change." $asked $name $class)
  "fix" (printf "Set it back to %q. Or back the database up (docs/operations.md), scale the gateway to 0, delete the claim, wait until it is gone, upgrade and restore." $class)) -}}
{{- end -}}
{{- end -}}
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
