{{/*
Names of objects: valid, stable, and never shared by two releases.
*/}}

{{/* What every name begins with. Always release-freehold, so that releases `a` and `a-freehold` stay apart. */}}
{{- define "freehold.fullname" -}}
{{- $name := .Values.fullnameOverride | default (eq .Release.Name .Chart.Name | ternary .Chart.Name (printf "%s-%s" .Release.Name .Chart.Name)) -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "\n\nThe name %q cannot begin the names of Services: they start with a letter and hold a-z, 0-9 and -.\nSet fullnameOverride, for example --set fullnameOverride=models.\n" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* The name of an object: (dict "root" $ "parts" (list "engine" "qwen3-8b")), at most "max" long (52 leaves room for
what controllers append). A longer one ends in a hash of the whole. */}}
{{- define "freehold.object" -}}
{{- $full := printf "%s-%s" (include "freehold.fullname" .root) (join "-" .parts) -}}
{{- $max := .max | default 52 | int -}}
{{- if gt (len $full) $max -}}
{{- printf "%s-%s" ($full | trunc (sub $max 9 | int) | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- else -}}
{{- $full -}}
{{- end -}}
{{- end -}}

{{/* A model's name in the alphabet of Kubernetes; where that loses something, a hash keeps two models apart. */}}
{{- define "freehold.slug" -}}
{{- $slug := regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trimAll "-" -}}
{{- if or (ne $slug .) (gt (len $slug) 30) -}}
{{- printf "%s-%s" ($slug | trunc 23 | trimSuffix "-") (sha256sum . | trunc 6) -}}
{{- else -}}
{{- $slug -}}
{{- end -}}
{{- end -}}

{{- define "freehold.gateway.name" -}}
{{- include "freehold.object" (dict "root" . "parts" (list "gateway")) -}}
{{- end -}}

{{/* (dict "root" $ "model" name). 43 characters, so that `-replicas` and what KubeRay appends still fit. */}}
{{- define "freehold.engine.name" -}}
{{- include "freehold.object" (dict "root" .root "parts" (list "engine" (include "freehold.slug" .model)) "max" 43) -}}
{{- end -}}

{{/* What cannot change about a claim is in its name: another kind of volume is another one, and models are pulled anew. */}}
{{- define "freehold.store.name" -}}
{{- $volume := .Values.store.volume -}}
{{- if eq $volume.kind "existingClaim" -}}
{{- $volume.claim -}}
{{- else -}}
{{- $parts := list "store" -}}
{{- $fixed := printf "%s %s" (join "," (sortAlpha $volume.accessModes)) ($volume.storageClass | default "") -}}
{{- if ne $fixed "ReadWriteOnce " -}}
{{- $parts = append $parts (sha256sum $fixed | trunc 8) -}}
{{- end -}}
{{- include "freehold.object" (dict "root" . "parts" $parts) -}}
{{- end -}}
{{- end -}}

{{- define "freehold.database.name" -}}
{{- include "freehold.object" (dict "root" . "parts" (list "database")) -}}
{{- end -}}

{{- define "freehold.serviceAccount.name" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "freehold.fullname" .) "default") -}}
{{- end -}}
