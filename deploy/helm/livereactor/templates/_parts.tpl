{{- define "livereactor.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "livereactor.labels" -}}
app.kubernetes.io/name: livereactor
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* One variable from the secret: (dict "root" . "name" "LIVEREACTOR_…" "key" "store-url") */ -}}
{{- define "livereactor.secret" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .root.Values.existingSecret }}, key: {{ .key }}}}
{{- end }}

{{- define "livereactor.settings" -}}
- {name: LIVEREACTOR_RUNTIME__LOG_FORMAT, value: json}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
