// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The route normaliser on any subject: bounded, filled with zeros, idempotent, as the reference. */
#include <stdint.h>
#include <stdio.h>

#include "../support/route_ref.h"

#define MUST(cond)                                                                         \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                           \
		}                                                                          \
	} while (0)

/* On the heap and of its own size: a byte written behind the name is seen. */
static struct route_norm *normalise(const void *subject, size_t len)
{
	struct route_norm *r = malloc(sizeof(*r));

	if (!r)
		abort();
	route__normalise(r, subject, len);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *subject = malloc(size + 1), want[ROUTE_LEN];
	struct route_norm *r, *again;
	size_t n;

	if (!subject)
		abort();
	/* Blanks and control bytes end a token of the protocol: a subject has none. */
	for (size_t i = 0; i < size; i++)
		subject[i] = (char)(data[i] <= ' ' ? '.' : data[i]);
	r = normalise(subject, size);
	n = strnlen(r->name, ROUTE_LEN);
	MUST(n < ROUTE_LEN && n <= size + 1);
	for (size_t i = n; i < ROUTE_LEN; i++)
		MUST(!r->name[i]);
	route_ref(subject, size, want);
	MUST(!memcmp(r->name, want, ROUTE_LEN));
	again = normalise(r->name, n);
	MUST(!memcmp(r->name, again->name, ROUTE_LEN));
	free(again);
	free(r);
	free(subject);
	return 0;
}
