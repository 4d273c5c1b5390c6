// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "bench/ending.h"
#include "log.h"
#include "out/json.h"
#include "stack/clock.h"

#define SETTLE_ATTEMPTS 20
#define SETTLE_PAUSE_MS 50

bool ending__read(struct wire *wire, struct snapshot *last)
{
	int i;

	for (i = 0; i < SETTLE_ATTEMPTS; i++) {
		if (wire__read(wire, last))
			return false;
		if (last->settled || i + 1 == SETTLE_ATTEMPTS)
			break;
		snapshot__free(last);
		clock__sleep_ms(SETTLE_PAUSE_MS);
	}
	return true;
}

json_t *ending__overhead(const struct snapshot *last, const struct snapshot *cost)
{
	struct snapshot s;

	if (!last)
		return json_null();
	s = *last;
	s.n_programs = 0;
	if (cost) {
		s.acct = cost->acct;
		s.n_programs = cost->n_programs;
		memcpy(s.programs, cost->programs, sizeof(s.programs));
	}
	return session__overhead(&s);
}

json_t *ending__started(const struct timespec *realtime)
{
	char text[32];
	struct tm tm;

	gmtime_r(&realtime->tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

int ending__report(struct outdir *o, json_t *session, bool json, const char *incomplete,
		   const struct target *targets, size_t n_targets)
{
	int err;

	if (!session) {
		log_fail(-ENOMEM, "out of memory: no report");
		return EXIT_RUNTIME;
	}
	err = outdir__report(o, session, json);
	json_decref(session);
	if (err)
		return EXIT_RUNTIME;
	/* Part of a run is a run-time error, whatever the part says: a caller must not go by it. */
	if (incomplete[0]) {
		log_warn("partial run: %s", incomplete);
		return EXIT_RUNTIME;
	}
	return targets__exit_code(targets, n_targets);
}
