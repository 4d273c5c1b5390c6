/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How it was measured, how far that goes, and what measuring cost. */
#include <math.h>

#include "out/md.h"
#include "out/pf.h"
#include "out/session.h"

static void add_rounds(struct text *out, const json_t *session)
{
	double hop_rounds = session__get_number(session, "hop_rounds");

	text__add(out, "- In each of ");
	md__plural(out, session__get_number(session, "rounds"), "whole round", "whole rounds");
	text__add(out, " every way had its turn at every point, ");
	md__value(out, session__get_number(session, "slice_s") * 1e9, "ns");
	text__add(out, " each, ways at a point one after the other in an order that changes from "
		       "round to round. A round before them warmed everything up and was not "
		       "counted.\n");
	text__add(out,
		  "- The connections of a pool of NATS stay open, idle, while other points are "
		  "measured; those that HTTP needs for more requests under way than the base "
		  "has are opened before a slice and closed after it.\n");
	if (hop_rounds > 0) {
		text__add(out, "- The probe was attached only afterwards, for ");
		md__plural(out, hop_rounds, "round", "rounds");
		text__add(out, " with new connections: latencies, rates and processor times are of "
			       "rounds without it.\n");
	} else {
		text__add(out, "- No probe was attached.\n");
	}
}

static void add_definitions(struct text *out)
{
	text__add(out,
		  "- **Round trip**: by the client's clock, of successes only; the next request "
		  "when one was answered. NATS: request and reply through nats.c, answered by a "
		  "responder in the cluster's namespace. HTTP: POST of the payload, which nginx "
		  "sends back.\n"
		  "- **Added**: the way's median (or p99) of a round less direct's of the same "
		  "round and point; the estimate is the Hodges-Lehmann median of the rounds with "
		  "its signed-rank interval, which 6 rounds or more have.\n"
		  "- **Payload** is sent and comes back: each byte passes the way twice.\n"
		  "- **Sharing**: what a pool to one server adds over direct less what the same "
		  "pool adds with a server, and so a forwarded port, for each of its "
		  "connections; beside a bulk transfer, what is added with the transfer on the "
		  "same port less what is added with it on another.\n\n");
}

static void add_limits(struct text *out, const json_t *session)
{
	double cpus = session__get_number(session__get(session, "environment"), "cpus");

	text__add(out, "### What this run cannot tell\n\n");
	if (!session__get_bool(session, "complete", false))
		text__add(
			out,
			"- Anything about what was to come after it ended: the run is partial.\n");
	text__add(out,
		  "- What a network adds: the links are veth pairs of one machine. Over a real one "
		  "each round trip that a tunnel needs for itself costs that network's.\n"
		  "- What Kubernetes' API server and kubelet take: the far end of kubectl's tunnel "
		  "is a small server of ours.\n");
	if (!isnan(cpus)) {
		text__add(out, "- What a way costs where client, relay and server have processors "
			       "of their own: all of them shared ");
		md__plural(out, cpus, "processor", "processors");
		text__add(out, ".\n");
	}
	text__add(out,
		  "- More than its intervals: they are of the rounds of one run. Another run on "
		  "another day is the better check.\n");
}

void pf__method(struct text *out, const json_t *session)
{
	text__add(out, "## How it was measured\n\n");
	add_rounds(out, session);
	add_definitions(out);
	if (session__get(session, "accounting"))
		md__deeper(out, session, md__accounting);
	add_limits(out, session);
}
