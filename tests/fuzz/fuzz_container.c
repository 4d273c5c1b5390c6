// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Any cgroup path: every field printable and within its bounds, labels too; asked twice the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/container.h"

#define MUST(cond)                                                                         \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

static void must_print(const char *s, size_t size)
{
	size_t n = strnlen(s, size);

	MUST(n < size);
	for (size_t i = 0; i < n; i++)
		MUST(s[i] >= ' ' && s[i] < 0x7f);
}

/* On the heap and of its own size: a byte written behind it is seen. */
static void label(const struct container *c, const char *path, size_t size)
{
	char *out = malloc(size);

	if (!out)
		abort();
	container__label(c, path, out, size);
	MUST(strnlen(out, size) < size);
	if (container__is_named(c) && size > sizeof(*c))
		must_print(out, size);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = malloc(size + 1);
	struct container *c = malloc(sizeof(*c)), *again = malloc(sizeof(*c));

	if (!path || !c || !again)
		abort();
	memcpy(path, data, size);
	path[size] = '\0';
	container__parse(path, c);
	must_print(c->runtime, sizeof(c->runtime));
	must_print(c->id, sizeof(c->id));
	must_print(c->name, sizeof(c->name));
	must_print(c->pod, sizeof(c->pod));
	must_print(c->pod_uid, sizeof(c->pod_uid));
	must_print(c->namespace_, sizeof(c->namespace_));
	MUST(!strchr(c->id, '/'));
	container__parse(path, again);
	MUST(!memcmp(c, again, sizeof(*c)));
	label(c, path, 1);
	label(c, path, 20);
	snprintf(c->name, sizeof(c->name), "web");
	label(c, path, 1024);
	free(again);
	free(c);
	free(path);
	return 0;
}
