{{/*
What is deployed: `deployment`, `engines` and `artifacts`, or the example while no deployment is set.
Helpers that return structures return JSON; read them with `fromJson`.
*/}}

{{/* {deployment, engines, artifacts} */}}
{{- define "freehold.effective" -}}
{{- $given := dict "deployment" .Values.deployment "engines" .Values.engines "artifacts" .Values.artifacts -}}
{{- if not .Values.deployment -}}
{{- $given = .Files.Get "files/example.yaml" | fromYaml -}}
{{- include "freehold.lay" (dict "over" $given "with" (dict "engines" .Values.engines "artifacts" .Values.artifacts)) -}}
{{- end -}}
{{- toJson $given -}}
{{- end -}}

{{/* Lays one map over another, in place, map by map; anything else replaces what was there, `false` and 0 included. */}}
{{- define "freehold.lay" -}}
{{- range $key, $value := .with -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $.over $key)) -}}
{{- include "freehold.lay" (dict "over" (get $.over $key) "with" $value) -}}
{{- else -}}
{{- $_ := set $.over $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The DeploymentConfig that the pods read: the user's, and what only the chart can know. */}}
{{- define "freehold.deployment" -}}
{{- $deployment := get (include "freehold.effective" . | fromJson) "deployment" -}}
{{- $gateway := $deployment.gateway | default dict -}}
{{- $own := dict "host" "0.0.0.0" "port" 8000 "drainTimeoutS" (.Values.gateway.drainSeconds | int) -}}
{{- if not $gateway.database -}}
{{- $_ := set $own "database" "${FREEHOLD_DATABASE_URL}" -}}
{{- end -}}
{{- if .Values.gateway.adminKey.existingSecret.name -}}
{{- $_ := set $own "adminKeyFrom" (dict "env" "FREEHOLD_ADMIN_KEY") -}}
{{- end -}}
{{- $_ := set $deployment "gateway" (merge $own $gateway) -}}
{{- toJson $deployment -}}
{{- end -}}

{{/* Models with an engine of their own, by name: {name: ServedModel}. Remote ones are reached by their URL. */}}
{{- define "freehold.models" -}}
{{- $deployment := get (include "freehold.effective" . | fromJson) "deployment" -}}
{{- $models := dict -}}
{{- range $name, $model := $deployment.models -}}
{{- if eq "process" ((($model).engine | default dict).kind | default "process") -}}
{{- $_ := set $models $name ($model | default dict) -}}
{{- end -}}
{{- end -}}
{{- toJson $models -}}
{{- end -}}

{{/* What Kubernetes needs to run one model: engineDefaults, the model's own keys over them, and its profile's. */}}
{{- define "freehold.engine.settings" -}}
{{- $settings := deepCopy .root.Values.engineDefaults -}}
{{- $own := get (get (include "freehold.effective" .root | fromJson) "engines") .model | default dict -}}
{{- include "freehold.lay" (dict "over" $settings "with" $own) -}}
{{- $profile := get .root.Values.acceleratorProfiles $settings.accelerator.profile -}}
{{- $_ := set $settings "profile" ($profile | default dict) -}}
{{- range $key := list "nodeSelector" "tolerations" "runtimeClassName" -}}
{{- if and (not (get $settings $key)) (get $settings.profile $key) -}}
{{- $_ := set $settings $key (get $settings.profile $key) -}}
{{- end -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}

{{/* Names of artifacts that a model needs: its own and its adapters'. */}}
{{- define "freehold.model.artifacts" -}}
{{- $names := list (.artifact | default "") -}}
{{- range $name, $adapter := .adapters -}}
{{- $names = append $names ($adapter.artifact | default "") -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* Upstreams that a route leads to, by name. Nothing else may be reached. */}}
{{- define "freehold.upstreams" -}}
{{- $deployment := get (include "freehold.effective" . | fromJson) "deployment" -}}
{{- $used := dict -}}
{{- range $route := $deployment.routes -}}
{{- $targets := keys ($route.targets | default dict) -}}
{{- $targets = concat $targets (kindIs "string" $route.fallback | ternary (list $route.fallback) ($route.fallback | default list)) -}}
{{- range $trial := list $route.canary $route.shadow -}}
{{- with $trial }}{{ $targets = append $targets .target }}{{ end -}}
{{- end -}}
{{- range $target := $targets -}}
{{- $upstream := regexFind "^[^/]+" (toString $target) -}}
{{- if and (contains "/" (toString $target)) (hasKey ($deployment.upstreams | default dict) $upstream) -}}
{{- $_ := set $used $upstream (get $deployment.upstreams $upstream) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $used -}}
{{- end -}}

{{/* Environment variables that the deployment takes secrets from: {env: where it is named}. */}}
{{- define "freehold.secretNames" -}}
{{- $deployment := include "freehold.deployment" . | fromJson -}}
{{- $names := dict -}}
{{- range $name, $upstream := $deployment.upstreams -}}
{{- with $upstream.apiKeyFrom }}{{ $_ := set $names .env (printf "upstreams.%s.apiKeyFrom" $name) }}{{ end -}}
{{- end -}}
{{- range $name, $model := $deployment.models -}}
{{- with (($model).engine | default dict).apiKeyFrom }}{{ $_ := set $names .env (printf "models.%s.engine.apiKeyFrom" $name) }}{{ end -}}
{{- end -}}
{{- with $deployment.gateway.adminKeyFrom }}{{ $_ := set $names .env "gateway.adminKeyFrom" }}{{ end -}}
{{- with (($deployment.gateway.console | default dict).oidc | default dict).clientSecretFrom }}{{ $_ := set $names .env "gateway.console.oidc.clientSecretFrom" }}{{ end -}}
{{- range regexFindAll "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}" $deployment.gateway.database -1 -}}
{{- $_ := set $names (. | trimPrefix "${" | trimSuffix "}") "gateway.database" -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* Whether keys and usage are in SQLite, on a volume that one gateway holds. */}}
{{- define "freehold.isSqlite" -}}
{{- $gateway := (get (include "freehold.effective" . | fromJson) "deployment").gateway | default dict -}}
{{- if $gateway.database -}}
{{- hasPrefix "sqlite" $gateway.database | ternary "true" "" -}}
{{- else -}}
{{- eq .Values.database.kind "sqlite" | ternary "true" "" -}}
{{- end -}}
{{- end -}}

{{/* What the database's URL is made of: FREEHOLD_DATABASE_URL, or the variables in a URL that the deployment gives. */}}
{{- define "freehold.databaseEnv" -}}
{{- $url := ((get (include "freehold.effective" . | fromJson) "deployment").gateway | default dict).database | default "" -}}
{{- if $url }}
{{- range regexFindAll "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}" $url -1 | uniq }}
{{- $name := . | trimPrefix "${" | trimSuffix "}" }}
{{- with get $.Values.secretEnv $name }}
{{ include "freehold.secretEnv" (dict "env" $name "secret" .) }}
{{- end }}
{{- end }}
{{- else if eq .Values.database.kind "postgresql" }}
{{ include "freehold.secretEnv" (dict "env" "FREEHOLD_DATABASE_URL" "secret" .Values.database.existingSecret) }}
{{- else }}
- name: FREEHOLD_DATABASE_URL
  value: sqlite:////var/lib/freehold/gateway.db
{{- end }}
{{- end -}}
