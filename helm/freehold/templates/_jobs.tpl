{{/*
Jobs: fine-tuning, quantizing, evaluating. Each takes (dict "root" $ "name" name "job" {jobDefaults and the job's own}).
*/}}

{{- define "freehold.job.settings" -}}
{{- $settings := deepCopy .root.Values.jobDefaults -}}
{{- include "freehold.lay" (dict "over" $settings "with" .job) -}}
{{- $profile := get .root.Values.acceleratorProfiles $settings.accelerator.profile | default dict -}}
{{- $_ := set $settings "profile" $profile -}}
{{- range $key := list "nodeSelector" "tolerations" "runtimeClassName" -}}
{{- if and (not (get $settings $key)) (get $profile $key) -}}
{{- $_ := set $settings $key (get $profile $key) -}}
{{- end -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}

{{- define "freehold.job.name" -}}
{{- include "freehold.object" (dict "root" .root "parts" (list "job" (include "freehold.slug" .name) .hash)) -}}
{{- end -}}

{{/* Over everything that the run depends on: a Job's template cannot change, so another run has another name. */}}
{{- define "freehold.job.hash" -}}
{{- $image := include "freehold.image" (dict "root" .root "image" .root.Values.images.jobs "name" "images.jobs") -}}
{{- $read := list .name .job $image .root.Values.store.volume .root.Values.podSecurity .root.Values.commonLabels -}}
{{- with .root.Values.policy }}{{ $read = append $read . }}{{ end -}}
{{- $read | toJson | sha256sum | trunc 8 -}}
{{- end -}}

{{- define "freehold.job.pod" -}}
metadata:
  labels:
    {{- include "freehold.podLabels" (dict "root" .root "component" "job") | nindent 4 }}
    freehold.dev/job: {{ include "freehold.slug" .name }}
spec:
  {{- include "freehold.podSpec" (dict "root" .root "groups" .job.profile.supplementalGroups) | nindent 2 }}
  {{- include "freehold.placement" (dict "settings" .job) | nindent 2 }}
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 120
  {{- if eq .job.accelerator.profile "dra" }}
  resourceClaims:
    - name: accelerator
      resourceClaimTemplateName: {{ .job.accelerator.claimTemplate }}
  {{- end }}
  containers:
    - name: run
      {{- include "freehold.container.image" (dict "root" .root "of" "jobs") | nindent 6 }}
      command:
        - freehold
        {{- range .job.command }}
        - {{ . | toString | quote }}
        {{- end }}
      env:
        - name: FREEHOLD_HOME
          value: /var/lib/freehold
        - name: FREEHOLD_OFFLINE
          value: "1"
        - name: HOME
          value: /cache
        - name: USER
          value: freehold
        - name: HF_HOME
          value: /cache/huggingface
        - name: TRITON_CACHE_DIR
          value: /cache/triton
        - name: TORCHINDUCTOR_CACHE_DIR
          value: /cache/torchinductor
        {{- with include "freehold.policy.env" .root }}{{ . | nindent 8 }}{{ end }}
        {{- with .job.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      securityContext:
        {{- include "freehold.containerSecurity" .root | nindent 8 }}
      resources:
        {{- include "freehold.engine.resources" (dict "root" .root "model" .name "settings" .job) | nindent 8 }}
      volumeMounts:
        - name: store
          mountPath: /var/lib/freehold
        - name: cache
          mountPath: /cache
        - name: tmp
          mountPath: /tmp
        - name: shm
          mountPath: /dev/shm
        {{- with include "freehold.policy.mount" .root }}{{ . | nindent 8 }}{{ end }}
        {{- if .job.files }}
        - name: files
          mountPath: /etc/freehold/jobs
          readOnly: true
        {{- end }}
        {{- if .job.dataClaim }}
        - name: data
          mountPath: /data
          readOnly: true
        {{- end }}
  volumes:
    {{- include "freehold.store.volume" .root | nindent 4 }}
    - name: cache
      emptyDir: {sizeLimit: {{ .job.scratch }}}
    - name: tmp
      emptyDir: {sizeLimit: {{ .job.scratch }}}
    - name: shm
      emptyDir: {medium: Memory, sizeLimit: {{ .job.sharedMemory }}}
    {{- with include "freehold.policy.volume" .root }}{{ . | nindent 4 }}{{ end }}
    {{- if .job.files }}
    - name: files
      configMap:
        name: {{ include "freehold.job.name" . }}
    {{- end }}
    {{- if .job.dataClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .job.dataClaim | quote }}
    {{- end }}
{{- end -}}
