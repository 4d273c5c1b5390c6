/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Any bytes as the answer to a call: nothing outside is touched, and its own request is found. */
#include <stdlib.h>
#include <string.h>

#include "load/http_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct buffer request;
	struct aws_ids ids;
	char *copy, *both;

	copy = malloc(len ? len : 1); /* as long as that, for the sanitizer */
	if (!copy)
		return 0;
	memcpy(copy, data, len);
	aws_ids__make(&ids, len, len);
	http_body__check(&ids, copy, len);
	free(copy);

	/* The request, a blank, the bytes: nothing is missing, whatever they are. */
	if (http_body__messages(&request, &ids, 0))
		return 0;
	both = malloc(request.n + 1 + len);
	if (!both)
		return 0;
	memcpy(both, request.p, request.n);
	both[request.n] = ' ';
	memcpy(both + request.n + 1, data, len);
	if (http_body__check(&ids, both, request.n + 1 + len) == BODY_MISSING)
		abort();
	free(both);
	return 0;
}
