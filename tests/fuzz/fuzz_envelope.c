/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Any bytes as an envelope of each kind: slices stay inside the input, and a whole one encodes. */
#include <stdlib.h>

#include "load/envelope.h"

static struct envelope_reader reader;
static msgpack_sbuffer out;

static void inside(struct slice s, const uint8_t *data, size_t len)
{
	const char *begin = (const char *)data;

	if (s.p && s.n && (s.p < begin || s.n > len || s.p + s.n > begin + len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct envelope e, again;
	const char *why;
	int kind;

	if (!reader.ready && envelope_reader__init(&reader))
		return 0;
	for (kind = ENVELOPE_REQUEST; kind <= ENVELOPE_EVENT; kind++) {
		int err = envelope__decode(&reader, (enum envelope_kind)kind, data, len, &e, &why);

		if (!err != !why)
			abort();
		inside(e.message_id, data, len);
		inside(e.trace_id, data, len);
		inside(e.correlation_id, data, len);
		inside(e.timestamp, data, len);
		inside(e.source, data, len);
		inside(e.target, data, len);
		inside(e.method, data, len);
		inside(e.error, data, len);
		inside(e.domain, data, len);
		inside(e.event_type, data, len);
		inside(e.run_id, data, len);
		inside(e.payload, data, len);
		if (err)
			continue;
		if (!e.timestamp.p)
			e.timestamp = slice__str("2026-11-21T21:50:00.123456Z");
		msgpack_sbuffer_clear(&out);
		if (envelope__encode(&out, (enum envelope_kind)kind, &e))
			continue; /* no memory */
		if (envelope__decode(&reader, (enum envelope_kind)kind, out.data, out.size, &again,
				     &why) ||
		    again.id != e.id)
			abort();
	}
	return 0;
}
