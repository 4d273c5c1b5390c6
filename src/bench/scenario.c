// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cyaml/cyaml.h>

#include "bench/scenario.h"
#include "bench/scenario_rules.h"
#include "bench/yaml_index.h"
#include "log.h"

#define MAX_FILE_BYTES (1 << 20)
#define MAX_STRING     64

/* Shorthand: every key may be left out; scenario_rules.c knows which of them may not. */
#define NUMBER(key, type, member) CYAML_FIELD_INT(key, CYAML_FLAG_OPTIONAL, type, member)
#define REAL(key, type, member)	  CYAML_FIELD_FLOAT(key, CYAML_FLAG_OPTIONAL, type, member)
#define TEXT(key, type, member)                                                                \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, \
			       MAX_STRING)
#define SECTION(key, member, fields) \
	CYAML_FIELD_MAPPING(key, CYAML_FLAG_OPTIONAL, struct scenario, member, fields)
#define LIST(name, owner, list, n_list, of)                                 \
	{                                                                   \
		.key = (name), .data_offset = offsetof(owner, list),        \
		.count_offset = offsetof(owner, n_list),                    \
		.count_size = sizeof(((owner *)NULL)->n_list), .value = {   \
			.type = CYAML_SEQUENCE,                             \
			.flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,  \
			.data_size = sizeof(*((owner *)NULL)->list),        \
			.sequence = {.entry = (of), .min = 0, .max = 1000}, \
		}                                                           \
	}

/* libcyaml wants the types of the sections by name. */
typedef __typeof__(((struct scenario *)NULL)->stack) stack_section;
typedef __typeof__(((struct scenario *)NULL)->rpc) rpc_section;
typedef __typeof__(((struct scenario *)NULL)->rpc_open) rpc_open_section;
typedef __typeof__(((struct scenario *)NULL)->events) events_section;
typedef __typeof__(((struct scenario *)NULL)->services) services_section;
typedef __typeof__(((struct scenario *)NULL)->memory) memory_section;
typedef __typeof__(((struct scenario *)NULL)->ab) ab_section;

static const cyaml_schema_value_t word = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, MAX_STRING)};

static const cyaml_schema_field_t stack_fields[] = {
	NUMBER("nodes", stack_section, nodes),
	CYAML_FIELD_BOOL("jetstream", CYAML_FLAG_OPTIONAL, stack_section, jetstream),
	/* "auto" or a list: no type of libcyaml's; read from the index. */
	CYAML_FIELD_IGNORE("ports", CYAML_FLAG_OPTIONAL), CYAML_FIELD_END};

static const cyaml_schema_field_t rpc_fields[] = {NUMBER("calls", rpc_section, calls),
						  NUMBER("pool", rpc_section, pool),
						  NUMBER("payload", rpc_section, payload),
						  NUMBER("concurrency", rpc_section, concurrency),
						  NUMBER("timeout_ms", rpc_section, timeout_ms),
						  TEXT("service", rpc_section, service),
						  TEXT("method", rpc_section, method),
						  CYAML_FIELD_END};

static const cyaml_schema_field_t rpc_open_fields[] = {REAL("rate", rpc_open_section, rate),
						       NUMBER("calls", rpc_open_section, calls),
						       CYAML_FIELD_END};

static const cyaml_schema_field_t events_fields[] = {
	NUMBER("count", events_section, count),
	NUMBER("batch", events_section, batch),
	NUMBER("payload", events_section, payload),
	NUMBER("replicas", events_section, replicas),
	NUMBER("timeout_ms", events_section, timeout_ms),
	LIST("domains", events_section, domains, n_domains, &word),
	LIST("types", events_section, types, n_types, &word),
	TEXT("storage", events_section, storage),
	CYAML_FIELD_END};

static const cyaml_schema_field_t services_fields[] = {NUMBER("count", services_section, count),
						       NUMBER("pool", services_section, pool),
						       CYAML_FIELD_END};

static const cyaml_schema_field_t memory_fields[] = {
	REAL("seconds", memory_section, seconds), REAL("interval", memory_section, interval),
	REAL("rate", memory_section, rate),
	LIST("containers", memory_section, containers, n_containers, &word), CYAML_FIELD_END};

static const cyaml_schema_field_t ab_fields[] = {NUMBER("slices", ab_section, slices),
						 REAL("seconds", ab_section, seconds),
						 CYAML_FIELD_END};

static const cyaml_schema_field_t target_fields[] = {
	TEXT("metric", struct scenario_target, metric_name),
	TEXT("path", struct scenario_target, path_name),
	TEXT("container", struct scenario_target, container),
	TEXT("mode", struct scenario_target, mode_name),
	TEXT("clock", struct scenario_target, clock_name),
	TEXT("at_most", struct scenario_target, at_most),
	TEXT("at_least", struct scenario_target, at_least),
	CYAML_FIELD_END};

static const cyaml_schema_value_t target_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct scenario_target, target_fields)};

static const cyaml_schema_field_t scenario_fields[] = {
	TEXT("name", struct scenario, name),
	CYAML_FIELD_STRING_PTR("title", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct scenario,
			       title, 0, 200),
	SECTION("stack", stack, stack_fields),
	LIST("paths", struct scenario, path_names, n_paths, &word),
	NUMBER("rounds", struct scenario, rounds),
	SECTION("rpc", rpc, rpc_fields),
	SECTION("rpc_open", rpc_open, rpc_open_fields),
	SECTION("events", events, events_fields),
	SECTION("services", services, services_fields),
	SECTION("memory", memory, memory_fields),
	SECTION("ab", ab, ab_fields),
	TEXT("error_bound", struct scenario, error_bound_text),
	LIST("targets", struct scenario, targets, n_targets, &target_value),
	CYAML_FIELD_END};

static const cyaml_schema_value_t scenario_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct scenario, scenario_fields)};

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

static const cyaml_config_t config_template = {
	.log_fn = take_log,
	.mem_fn = cyaml_mem,
	.log_level = CYAML_LOG_ERROR,
};

/* The fields that are known where `path` stands: "" the top, "rpc", "targets[]". */
static const cyaml_schema_field_t *fields_at(const char *path)
{
	const cyaml_schema_field_t *f;
	const char *dot = strrchr(path, '.');
	size_t len = dot ? (size_t)(dot - path) : 0;

	if (!len)
		return scenario_fields;
	len = strcspn(path, "[.");
	for (f = scenario_fields; f->key; f++) {
		if (strncmp(f->key, path, len) != 0 || f->key[len])
			continue;
		if (f->value.type == CYAML_MAPPING)
			return f->value.mapping.fields;
		if (f->value.type == CYAML_SEQUENCE &&
		    f->value.sequence.entry->type == CYAML_MAPPING)
			return f->value.sequence.entry->mapping.fields;
	}
	return NULL;
}

static int fail_unknown_key(const struct yaml_index *y, const char *file, const char *key,
			    unsigned int line)
{
	const struct yaml_entry *e = yaml_index__find_key(y, key, line);
	const cyaml_schema_field_t *f;
	char known[512] = "";
	size_t len = 0;

	if (!e)
		return log_fail(-EINVAL, "%s:%u: unknown key '%s'", file, line, key);
	for (f = fields_at(e->path); f && f->key && len < sizeof(known); f++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					f->key);
	return log_fail(-EINVAL, "%s:%u: unknown key '%s'; known here: %s", file, e->line, e->path,
			known);
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

static int fail_load(const struct yaml_index *y, const char *file, cyaml_err_t err,
		     const struct complaint *c)
{
	const struct yaml_entry *e = yaml_index__find_duplicate(y);
	char a[128], b[128];

	if (sscanf(c->text, "Unexpected key: %127[^\n]", a) == 1)
		return fail_unknown_key(y, file, a, c->line);
	if (e && !strncmp(c->text, "Mapping field already seen", 26))
		return log_fail(-EINVAL, "%s:%u: '%s' is there a second time", file, e->line,
				e->path);
	if (sscanf(c->text, "Expecting %127[^,], got event: %127s", a, b) == 2)
		return log_fail(-EINVAL, "%s:%u: wanted here: %s; found: %s", file,
				c->line ? c->line : 1, plain(a), plain(b));
	return log_fail(-EINVAL, "%s:%u: %s", file, c->line ? c->line : 1,
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

static struct scenario *load(const char *file, const char *buf, size_t len, struct yaml_index *y)
{
	struct complaint complaint = {.line = 0};
	cyaml_config_t config = config_template;
	struct scenario *s = NULL;
	cyaml_err_t err;

	if (y->n && y->entries[0].scalar) {
		log_fail(-EINVAL, "%s:1: this is not a scenario: keys with values are wanted",
			 file);
		return NULL;
	}
	config.log_ctx = &complaint;
	err = cyaml_load_data((const uint8_t *)buf, len, &config, &scenario_value,
			      (cyaml_data_t **)&s, NULL);
	if (err) {
		fail_load(y, file, err, &complaint);
		return NULL;
	}
	if (!s) {
		log_fail(-EINVAL, "%s:1: this is not a scenario: it holds nothing", file);
		return NULL;
	}
	if (scenario_rules__apply(s, y, file)) {
		scenario__free(s);
		return NULL;
	}
	return s;
}

struct scenario *scenario__load(const char *file)
{
	struct scenario *s = NULL;
	struct yaml_index y;
	size_t len;
	char *buf = read_file(file, &len);
	int err;

	if (!buf)
		return NULL;
	err = yaml_index__read(&y, buf, len);
	if (err == -ENOMEM)
		log_fail(err, "out of memory");
	else if (err)
		log_fail(err, "%s:%u: %s", file, y.error_line, y.error);
	else
		s = load(file, buf, len, &y);
	yaml_index__free(&y);
	free(buf);
	return s;
}

void scenario__free(struct scenario *s)
{
	if (s)
		cyaml_free(&config_template, &scenario_value, s, 0);
}
