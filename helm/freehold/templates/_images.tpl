{{/*
Images. `global.imageRegistry` moves every one of them.
*/}}

{{/* (dict "root" $ "image" {registry, repository, tag, digest} "name" "images.toolkit"). A digest wins over a tag. */}}
{{- define "freehold.image" -}}
{{- $repository := required (printf "%s.repository is empty" .name) .image.repository -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- $path := ne "" (toString $registry) | ternary (printf "%s/%s" (trimSuffix "/" (toString $registry)) $repository) $repository -}}
{{- $tag := .image.tag | default .root.Chart.AppVersion | toString -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $path .image.digest -}}
{{- else if eq $tag "latest" -}}
{{- fail (printf "\n\n%s.tag is `latest`, which nobody can roll back to.\nName a version, or set %s.digest.\n" .name .name) -}}
{{- else -}}
{{- printf "%s:%s" $path $tag -}}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "of" "toolkit"): `image` and `imagePullPolicy` of a container. */}}
{{- define "freehold.container.image" -}}
{{- $image := .image | default (get .root.Values.images .of) -}}
image: {{ include "freehold.image" (dict "root" .root "image" $image "name" (.name | default (printf "images.%s" .of))) | quote }}
imagePullPolicy: {{ $image.pullPolicy | default "IfNotPresent" }}
{{- end -}}

{{- define "freehold.pullSecrets" -}}
{{- $names := list -}}
{{- range .Values.global.imagePullSecrets -}}
{{- $names = append $names (kindIs "map" . | ternary . (dict "name" .)) -}}
{{- end -}}
{{- with $names }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
