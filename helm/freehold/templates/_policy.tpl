{{/*
The policy: what may be pulled and served, as one file that pulls, engines' pods and jobs read. Each of these helpers is
empty while `policy` is.
*/}}

{{- define "freehold.policy.env" -}}
{{- if .Values.policy -}}
- name: FREEHOLD_POLICY
  value: /etc/freehold/policy/policy.yaml
{{- end }}
{{- end -}}

{{- define "freehold.policy.mount" -}}
{{- if .Values.policy -}}
- name: policy
  mountPath: /etc/freehold/policy
  readOnly: true
{{- end }}
{{- end -}}

{{- define "freehold.policy.volume" -}}
{{- if .Values.policy -}}
- name: policy
  configMap:
    name: {{ include "freehold.object" (dict "root" . "parts" (list "policy")) }}
{{- end }}
{{- end -}}
