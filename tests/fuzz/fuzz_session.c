/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sessions of all kinds that nobody vouches for: what is taken is rendered, and reads back. */
#include "file.h"

#include <string.h>

#include "out/figures.h"
#include "out/json.h"
#include "out/markdown.h"
#include "out/session.h"

static json_t *load(const char *path)
{
	json_t *session;
	char why[512] = "";
	int err = session__load(path, &session, why, sizeof(why));

	MUST(!err == !!session);
	MUST(!err || why[0]);
	MUST(strnlen(why, sizeof(why)) < sizeof(why));
	return session;
}

static void draw(FILE *f, const json_t *session)
{
	const struct figure *g;

	for (size_t i = 0; (g = figure__at(i)); i++)
		MUST(!g->has(session) || !g->render(f, session));
}

static char *dump(const json_t *session, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	MUST(f && !session__dump(session, f) && !fclose(f));
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	json_t *session = load(fuzz__file(data, len)), *back;
	FILE *nowhere = fuzz__nowhere();
	char *text, *again;
	size_t size, size_again;

	if (!session)
		return 0;
	MUST(!markdown__report(nowhere, session));
	draw(nowhere, session);
	/* Numbers are written with 15 digits: from then on they are the same. */
	text = dump(session, &size);
	back = load(fuzz__file((const uint8_t *)text, size));
	MUST(back);
	again = dump(back, &size_again);
	MUST(size == size_again && !memcmp(text, again, size));
	free(again);
	free(text);
	json_decref(back);
	json_decref(session);
	return 0;
}
