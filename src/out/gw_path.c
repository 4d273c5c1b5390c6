/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the time of a request went, hop by hop, in each steady phase. */
#include <math.h>
#include <string.h>

#include "out/gw.h"
#include "out/md.h"
#include "out/session.h"

#define UNLINKED_SHARE 0.01 /* of the calls, above which the parts cannot be taken as they are */

/* "kong-gateway" of the path of its cgroup. */
static const char *short_name(const char *container)
{
	const char *slash = strrchr(container, '/');

	return slash && slash[1] ? slash + 1 : container;
}

static void add_numbers(struct text *out, const json_t *p)
{
	static const char *const keys[] = {"p50_ns", "p99_ns"};

	for (size_t i = 0; i < 2; i++) {
		double v = session__get_number(p, keys[i]);

		text__add(out, " | ");
		if (isnan(v))
			text__add(out, "-");
		else
			md__value(out, v, "ns");
	}
	text__add(out, " |\n");
}

static void add_part(struct text *out, const json_t *part)
{
	double calls = session__get_number(part, "calls");

	text__add(out, "| ");
	for (double d = session__get_number(part, "depth"); d > 1 && d < 10; d--)
		text__add(out, "· ");
	md__text(out, session__get_text(part, "name"));
	text__add(out, " | ");
	md__text(out, session__get_text(part, "kind"));
	text__add(out, " | ");
	md__text(out, session__get_text(part, "proto"));
	text__add(out, " | ");
	if (isnan(calls))
		text__add(out, "-");
	else
		md__value(out, calls, "");
	text__add(out, " | ");
	md__value(out, session__get_number(part, "mean_ns"), "ns");
	text__add(out, " | ");
	md__value(out, 100 * session__get_number(part, "share"), "%");
	add_numbers(out, part);
}

/* Whether a call that could not be read has a part of its own. */
static bool has_opaque(const json_t *path)
{
	const json_t *parts = session__get(path, "parts");

	for (size_t i = 0; i < json_array_size(parts); i++)
		if (!strcmp(session__get_text(json_array_get(parts, i), "kind"), "opaque") ||
		    !strcmp(short_name(session__get_text(json_array_get(parts, i), "container")),
			    "claude-api"))
			return true;
	return false;
}

/* Whether the parts are what they say: every call linked, and none lost or hidden in its caller. */
static bool is_complete(const json_t *phase, const json_t *path)
{
	double linked = session__get_number(path, "linked");
	double unlinked = session__get_number(path, "unlinked");

	return !(unlinked > UNLINKED_SHARE * (linked + unlinked)) && has_opaque(path) &&
	       !md__tls_incomplete(session__get(phase, "tls"));
}

/* The part with the largest share of a path; NULL: none. */
static const json_t *largest(const json_t *path)
{
	const json_t *parts = session__get(path, "parts"), *best = NULL;

	for (size_t i = 0; i < json_array_size(parts); i++) {
		const json_t *part = json_array_get(parts, i);

		if (!best ||
		    session__get_number(part, "share") > session__get_number(best, "share"))
			best = part;
	}
	return best;
}

/* The part of the gateway's own time that is waiting for the API, where nothing else tells it. */
static void add_upstream_row(struct text *out, const json_t *phase, const json_t *path,
			     const json_t *part)
{
	double mean = session__get_number(phase, "api_mean_ns");
	double whole = session__get_number(path, "mean_ns");

	if (strcmp(session__get_text(part, "kind"), "self") != 0 ||
	    strcmp(session__get_text(part, "name"), "kong-gateway") != 0 || has_opaque(path) ||
	    isnan(mean) || !(whole > 0))
		return;
	text__add(out, "| · · of it claude-api, by its own clock | opaque | https | 1 | ");
	md__value(out, mean, "ns");
	text__add(out, " | ");
	md__value(out, 100 * mean / whole, "%");
	text__add(out, " | - | - |\n");
}

/* Sums of doubles are off in their last digits. */
static double whole_ns(double ns)
{
	return isnan(ns) ? NAN : rint(ns) + 0.0;
}

static void add_table(struct text *out, const json_t *phase, const json_t *path)
{
	const json_t *parts = session__get(path, "parts");

	text__add(out, "| part | kind | protocol | a request | average | share | p50 | p99 |\n"
		       "|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < json_array_size(parts); i++) {
		add_part(out, json_array_get(parts, i));
		add_upstream_row(out, phase, path, json_array_get(parts, i));
	}
	text__add(out, "| not explained | residual | - | - | ");
	md__value(out, whole_ns(session__get_number(path, "residual_ns")), "ns");
	text__add(out, " | ");
	md__value(out, 100 * session__get_number(path, "residual_share"), "%");
	text__add(out, " | - | - |\n| **the whole request** | | | | ");
	md__value(out, session__get_number(path, "mean_ns"), "ns");
	text__add(out, " | 100 %");
	add_numbers(out, path);
	text__add(out, "\n");
}

/* How far the table may be believed. */
static void add_linked(struct text *out, const json_t *path)
{
	double linked = session__get_number(path, "linked");
	double unlinked = session__get_number(path, "unlinked");

	if (!(unlinked > 0)) {
		text__add(out, " Each of ");
		md__plural(out, linked, "call", "calls");
		text__add(out, " was linked to the request that caused it.");
		return;
	}
	text__add(out, unlinked > UNLINKED_SHARE * (linked + unlinked) ? " **Incomplete**: " : " ");
	md__share(out, unlinked, linked + unlinked);
	text__add(out,
		  " calls could not be linked to a request; what they took is in the `self` of "
		  "their caller, which is too large by it.");
}

/* The API's answers are encrypted: what they took has to be told by the API. */
static void add_opaque(struct text *out, const json_t *path)
{
	if (!has_opaque(path))
		text__add(out,
			  " The calls to claude-api are encrypted and no part of their own: they "
			  "are in the `self` of kong-gateway.");
}

/* Calls over TLS are seen by what their processes read and write: what is lost of it is in no part.
 */
static void add_tls_lost(struct text *out, const json_t *phase)
{
	const json_t *tls = session__get(phase, "tls");
	struct text lost = {0};

	if (md__tls_lost(&lost, tls)) {
		text__add(out, md__tls_incomplete(tls) ? " **Incomplete**: of" : " Of");
		text__add(out, " TLS connections ");
		text__add(out, lost.data ? lost.data : "");
		text__add(out, " could not be read; calls in them are in the `self` of their "
			       "caller.");
	}
	out->failed = out->failed || lost.failed;
	text__free(&lost);
}

/* Requests without a call to the API that could be read: theirs is in the gateway's own time. */
static void add_unread(struct text *out, const json_t *path)
{
	const json_t *parts = session__get(path, "parts");
	double n = session__get_number(path, "count");

	for (size_t i = 0; i < json_array_size(parts); i++) {
		const json_t *part = json_array_get(parts, i);
		double without = rint(n * (1 - session__get_number(part, "calls")));

		if (strcmp(session__get_text(part, "kind"), "self") != 0 ||
		    strcmp(short_name(session__get_text(part, "container")), "claude-api") != 0)
			continue;
		if (without > 0) {
			text__add(out, " For ");
			md__share(out, without, n);
			text__add(out, " requests no call to claude-api was seen; if there was "
				       "one, it is in the `self` of kong-gateway.");
		}
		return;
	}
}

/* What the stand-in says of itself: it needs no probe. */
static void add_upstream(struct text *out, const json_t *phase, const json_t *path)
{
	double mean = session__get_number(phase, "api_mean_ns");
	double whole = session__get_number(path, "mean_ns");

	if (isnan(mean))
		return;
	text__add(out, " By its own clock claude-api took ");
	md__value(out, mean, "ns");
	text__add(out, " on average over ");
	md__plural(out, session__get_number(phase, "api_answered"), "answer", "answers");
	if (whole > 0) {
		text__add(out, ", ");
		md__value(out, 100 * mean / whole, "%");
		text__add(out, " of the average request");
	}
	text__add(out, ".");
}

/* Requests that failed are in the table: nothing is known of the calls of a status. */
static void add_failed(struct text *out, const json_t *session, const json_t *phase,
		       const json_t *path)
{
	double failed = session__get_number(path, "failed");

	if (failed > 0) {
		text__add(out, " ");
		md__share(out, failed, session__get_number(path, "count"));
		text__add(out, " of them failed, and what they took is in the averages.");
	}
	if (gw__too_many_failed(session, phase))
		text__add(out, " **INVALID**: more failed than the scenario's bound, so this is no "
			       "picture of the gateway at work.");
}

static void add_path(struct text *out, const json_t *session, const json_t *phase,
		     const json_t *path)
{
	const json_t *most = largest(path);

	text__add(out, "### ");
	md__text(out, session__get_text(path, "route"));
	text__add(out, ": ");
	md__text(out, session__get_text(phase, "name"));
	text__add(out, "\n\n");
	md__plural(out, session__get_number(path, "count"), "request", "requests");
	text__add(out, " from ");
	md__text(out, short_name(session__get_text(path, "client")));
	text__add(out, " to ");
	md__text(out, short_name(session__get_text(path, "container")));
	if (most && is_complete(phase, path) && !gw__too_many_failed(session, phase)) {
		text__add(out, "; the largest part, ");
		md__value(out, 100 * session__get_number(most, "share"), "%");
		text__add(out, ", is ");
		md__text(out, session__get_text(most, "name"));
		text__add(out, " (");
		md__text(out, session__get_text(most, "kind"));
		text__add(out, ")");
	}
	text__add(out, ".");
	add_failed(out, session, phase, path);
	add_linked(out, path);
	add_opaque(out, path);
	add_tls_lost(out, phase);
	add_unread(out, path);
	add_upstream(out, phase, path);
	if (session__get_bool(path, "shared", false))
		text__add(out, " Servers in it are also asked by others: their parts are the "
			       "average of all that they were asked.");
	if (session__get_bool(path, "crossed", false))
		text__add(out, " A server took longer than its caller waited: the difference is in "
			       "the residual.");
	text__add(out, "\n\n");
	add_table(out, phase, path);
}

void gw__critical_path(struct text *out, const json_t *session)
{
	const json_t *phases = session__get(session, "phases");
	struct text paths = {0};

	for (size_t i = 0; i < json_array_size(phases); i++) {
		const json_t *p = json_array_get(phases, i);
		/* the first has the most time in it; the rest is asking for health */
		const json_t *path = json_array_get(session__get(p, "critical_paths"), 0);

		if (path)
			add_path(&paths, session, p, path);
	}
	text__add(out, "## Critical path\n\n");
	if (!paths.len)
		text__add(out,
			  MD_NO_DATA ": the calls that the gateway made were not linked to the "
				     "requests that caused them.\n\n");
	else
		text__add(
			out,
			"Where the time of a request went, phase by phase, by the packets at every "
			"socket on its way. Kinds: `network`, what a call took that its server did "
			"not; "
			"`queue`, in the server's socket until it read; `self`, in the server "
			"without any call; `child`, waiting for calls of which no more is known; "
			"`opaque`, waiting for a server that cannot be read. The averages of the "
			"parts add up to the average of the whole; their p50 and p99 are each "
			"part's "
			"own and do not add up.\n\n");
	text__add(out, paths.data ? paths.data : "");
	out->failed = out->failed || paths.failed;
	text__free(&paths);
}
