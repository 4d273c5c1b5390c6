// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/scenario_file.h"
#include "log.h"

#define MAX_FILE_BYTES (1 << 20)

/* The first thing that libcyaml complains of, and the innermost place of its backtrace. */
struct complaint {
	char text[256];
	unsigned int line;
};

static void take_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct complaint *c = ctx;
	char line[256];
	char *at;

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	at = strstr(line, "(line: ");
	if (at && !c->line)
		c->line = (unsigned int)strtoul(at + 7, NULL, 10);
	if (!c->text[0])
		snprintf(c->text, sizeof(c->text), "%s",
			 strncmp(line, "Load: ", 6) ? line : line + 6);
}

const cyaml_config_t scenario_file_config = {
	.log_fn = take_log,
	.mem_fn = cyaml_mem,
	.log_level = CYAML_LOG_ERROR,
};

/* The fields below a field: those of a section, or of each element of a list. */
static const cyaml_schema_field_t *fields_of(const cyaml_schema_field_t *f)
{
	if (f->value.type == CYAML_MAPPING)
		return f->value.mapping.fields;
	if (f->value.type == CYAML_SEQUENCE && f->value.sequence.entry->type == CYAML_MAPPING)
		return f->value.sequence.entry->mapping.fields;
	return NULL;
}

/* The fields that are known where `path` stands: "" the top, "rpc", "targets[]". */
static const cyaml_schema_field_t *fields_at(const cyaml_schema_field_t *top, const char *path)
{
	const cyaml_schema_field_t *fields = top, *f;
	const char *dot;

	for (; fields && (dot = strchr(path, '.')); path = dot + 1) {
		size_t len = strcspn(path, "[.");

		for (f = fields; f->key; f++)
			if (!strncmp(f->key, path, len) && !f->key[len])
				break;
		fields = f->key ? fields_of(f) : NULL;
	}
	return fields;
}

static int fail_unknown_key(const struct scenario_file *s, const cyaml_schema_field_t *top,
			    const char *key, unsigned int line)
{
	const struct yaml_entry *e = yaml_index__find_key(&s->index, key, line);
	const cyaml_schema_field_t *f;
	char known[512] = "";
	size_t len = 0;

	if (!e)
		return log_fail(-EINVAL, "%s:%u: unknown key '%s'", s->name, line, key);
	for (f = fields_at(top, e->path); f && f->key && len < sizeof(known); f++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					f->key);
	return log_fail(-EINVAL, "%s:%u: unknown key '%s'; known here: %s", s->name, e->line,
			e->path, known);
}

/* libcyaml's words for what was found and wanted, in a scenario writer's. */
static const char *plain(const char *libcyaml)
{
	static const struct {
		const char *theirs, *ours;
	} words[] = {{"INT", "a whole number"},	      {"FLOAT", "a number"},
		     {"BOOL", "true or false"},	      {"STRING", "a word"},
		     {"SEQUENCE_START", "a list"},    {"MAPPING_START", "keys with values"},
		     {"MAPPING", "keys with values"}, {"SEQUENCE", "a list"},
		     {"SCALAR", "a single value"}};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(libcyaml, words[i].theirs))
			return words[i].ours;
	return libcyaml;
}

static int fail_load(const struct scenario_file *s, const cyaml_schema_field_t *top,
		     cyaml_err_t err, const struct complaint *c)
{
	const struct yaml_entry *e = yaml_index__find_duplicate(&s->index);
	char a[128], b[128];

	if (sscanf(c->text, "Unexpected key: %127[^\n]", a) == 1)
		return fail_unknown_key(s, top, a, c->line);
	if (e && !strncmp(c->text, "Mapping field already seen", 26))
		return log_fail(-EINVAL, "%s:%u: '%s' is there a second time", s->name, e->line,
				e->path);
	if (sscanf(c->text, "Expecting %127[^,], got event: %127s", a, b) == 2)
		return log_fail(-EINVAL, "%s:%u: wanted here: %s; found: %s", s->name,
				c->line ? c->line : 1, plain(a), plain(b));
	return log_fail(-EINVAL, "%s:%u: %s", s->name, c->line ? c->line : 1,
			c->text[0] ? c->text : cyaml_strerror(err));
}

static char *read_file(const char *file, size_t *len)
{
	FILE *f = fopen(file, "re");
	char *buf = malloc(MAX_FILE_BYTES + 1);

	if (!f)
		log_fail(-errno, "cannot read scenario %s: %s", file, strerror(errno));
	*len = f && buf ? fread(buf, 1, MAX_FILE_BYTES + 1, f) : 0;
	if (f && buf && (ferror(f) || !*len || *len > MAX_FILE_BYTES)) {
		log_fail(-EINVAL, "cannot read scenario %s: %s", file,
			 ferror(f) ? strerror(errno)
			 : *len	   ? "it is larger than 1 MB; is it a scenario?"
				   : "it is empty");
		*len = 0;
	}
	if (f)
		fclose(f);
	if (!*len) {
		free(buf);
		return NULL;
	}
	return buf;
}

int scenario_file__open(struct scenario_file *s, const char *file)
{
	char *buf;
	int err;

	memset(s, 0, sizeof(*s));
	s->name = file;
	buf = s->text = read_file(file, &s->len);
	if (!buf)
		return -EINVAL;
	err = yaml_index__read(&s->index, buf, s->len);
	if (err == -ENOMEM)
		log_fail(err, "out of memory");
	else if (err)
		log_fail(err, "%s:%u: %s", file, s->index.error_line, s->index.error);
	else if (s->index.n && s->index.entries[0].scalar)
		err = log_fail(-EINVAL, "%s:1: this is not a scenario: keys with values are wanted",
			       file);
	if (err)
		scenario_file__close(s);
	return err;
}

void scenario_file__close(struct scenario_file *s)
{
	yaml_index__free(&s->index);
	free(s->text);
	s->text = NULL;
}

void *scenario_file__load(const struct scenario_file *s, const cyaml_schema_value_t *schema)
{
	struct complaint complaint = {.line = 0};
	cyaml_config_t config = scenario_file_config;
	void *data = NULL;
	cyaml_err_t err;

	config.log_ctx = &complaint;
	err = cyaml_load_data((const uint8_t *)s->text, s->len, &config, schema,
			      (cyaml_data_t **)&data, NULL);
	if (err) {
		fail_load(s, schema->mapping.fields, err, &complaint);
		return NULL;
	}
	if (!data)
		log_fail(-EINVAL, "%s:1: this is not a scenario: it holds nothing", s->name);
	return data;
}

int scenario_file__kind(const char *file)
{
	static const char *const kinds[] = {[SCENARIO_NATS] = "nats",
					    [SCENARIO_GATEWAY] = "gateway",
					    [SCENARIO_PORT_FORWARD] = "port-forward"};
	const struct yaml_entry *e;
	struct scenario_file s;
	int kind, err = scenario_file__open(&s, file);

	if (err)
		return err;
	e = yaml_index__find(&s.index, "kind");
	for (kind = e ? SCENARIO_KINDS - 1 : SCENARIO_NATS; kind >= 0; kind--)
		if (!e || !strcmp(kinds[kind], e->text))
			break;
	if (kind < 0)
		kind = log_fail(-EINVAL,
				"%s:%u: kind: '%s' is not one of nats, gateway, port-forward", file,
				e->line, e->text);
	scenario_file__close(&s);
	return kind;
}
