/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A scenario file as such, whatever its kind: read, indexed, loaded by a schema of libcyaml. */
#ifndef HOPSCOPE_BENCH_SCENARIO_FILE_H
#define HOPSCOPE_BENCH_SCENARIO_FILE_H

#include <stddef.h>

#include <cyaml/cyaml.h>

#include "bench/yaml_index.h"

struct scenario_file {
	const char *name;
	char *text; /* owned */
	size_t len;
	struct yaml_index index;
};

/* For cyaml_free(). */
extern const cyaml_config_t scenario_file_config;

/* 0, or negative errno after log_fail(). */
int scenario_file__open(struct scenario_file *s, const char *file);
void scenario_file__close(struct scenario_file *s);
/*
 * What the file holds by a mapping's schema, unchecked but for types and keys. NULL after
 * log_fail(); else for cyaml_free().
 */
void *scenario_file__load(const struct scenario_file *s, const cyaml_schema_value_t *schema);

enum scenario_kind {
	SCENARIO_NATS = 0,
	SCENARIO_GATEWAY = 1,
	SCENARIO_PORT_FORWARD = 2,
	SCENARIO_KINDS
};

/* The key `kind` of a file; without it: SCENARIO_NATS. Negative errno after log_fail(). */
int scenario_file__kind(const char *file);

#endif
