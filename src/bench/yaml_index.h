/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where each key of a YAML file stands and how its value is spelled. libcyaml loads the values, but
 * keeps no lines, and takes "10x" for 10: errors need both.
 */
#ifndef HOPSCOPE_BENCH_YAML_INDEX_H
#define HOPSCOPE_BENCH_YAML_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#define YAML_PATH_LEN 128
#define YAML_TEXT_LEN 128

struct yaml_entry {
	char path[YAML_PATH_LEN]; /* "rpc.calls", "targets[2].metric" */
	char text[YAML_TEXT_LEN]; /* the scalar, cut; "" for a mapping or a sequence */
	bool scalar;
	unsigned int line; /* of the key, from 1 */
};

struct yaml_index {
	struct yaml_entry *entries; /* owned; in the order of the file */
	size_t n, size;
	/* When yaml_index__read() fails: */
	unsigned int error_line;
	char error[160];
};

/*
 * Parses `len` bytes of YAML. 0; -EINVAL with error and error_line set: not YAML, or what a
 * scenario cannot hold (several documents, aliases, 16 levels); -ENOMEM.
 */
int yaml_index__read(struct yaml_index *y, const char *yaml, size_t len);
void yaml_index__free(struct yaml_index *y);

/* The entry of a path, or NULL. */
const struct yaml_entry *yaml_index__find(const struct yaml_index *y, const char *path);
/* The first entry at or below `line` whose last key is `key`, or NULL. */
const struct yaml_entry *yaml_index__find_key(const struct yaml_index *y, const char *key,
					      unsigned int line);
/* The second entry with the same path as an earlier one, or NULL. */
const struct yaml_entry *yaml_index__find_duplicate(const struct yaml_index *y);

#endif
