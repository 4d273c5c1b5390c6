/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shorthand for schemas of libcyaml: every key may be left out; the rules know which may not. */
#ifndef HOPSCOPE_BENCH_SCENARIO_SCHEMA_H
#define HOPSCOPE_BENCH_SCENARIO_SCHEMA_H

#include <stddef.h>

#include <cyaml/cyaml.h>

#define MAX_STRING 64

#define NUMBER(key, type, member) CYAML_FIELD_INT(key, CYAML_FLAG_OPTIONAL, type, member)
#define REAL(key, type, member)	  CYAML_FIELD_FLOAT(key, CYAML_FLAG_OPTIONAL, type, member)
#define TEXT(key, type, member)                                                                \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 0, \
			       MAX_STRING)
#define SECTION(key, owner, member, fields) \
	CYAML_FIELD_MAPPING(key, CYAML_FLAG_OPTIONAL, owner, member, fields)
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

#endif
