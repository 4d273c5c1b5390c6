/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The shape of a session, of either kind, as tables. Internal to src/out. */
#ifndef HOPSCOPE_OUT_SESSION_FIELDS_H
#define HOPSCOPE_OUT_SESSION_FIELDS_H

#define COUNT_LIMIT 9007199254740992 /* 2^53: beyond it sums are not exact in a double */
/* Either way: beyond it squares and powers of ten overflow, and nothing that is measured is. */
#define NUMBER_LIMIT 1e18

enum field_type {
	NUMBER = 1,
	COUNT, /* an integer from 0 to 2^53 */
	TEXT,
	BOOL,
	OBJECT,	 /* of `fields` */
	LIST,	 /* of objects of `fields` */
	COUNTS,	 /* an object whose values are COUNT */
	TEXTS,	 /* an object whose values are TEXT, NUMBER or null */
	PAIRS,	 /* [[text, text], ...] */
	IDS,	 /* a list of text or integers */
	POINTS,	 /* [[number, number], ...] */
	ROWS,	 /* [[number or null, ...], ...], five in each */
	BUCKETS, /* [[index, count], ...], rising */
	VERDICT,
	OP,
};

struct field {
	const char *name; /* NULL ends a table */
	enum field_type type;
	const struct field *fields;
};

extern const struct field session_fields[];
/* Of a LATENCY, whose buckets are counted. */
extern const struct field session_latency_fields[];
/* Of a phase, whose hops are read (out/hops.h). */
extern const struct field session_phase_fields[];

#endif
