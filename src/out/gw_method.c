/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How it was measured, how far that goes, and what measuring cost. */
#include <math.h>
#include <string.h>

#include "out/gw.h"
#include "out/md.h"
#include "out/session.h"

static void add_definitions(struct text *out)
{
	text__add(
		out,
		"- The load generator is a process in a cgroup of its own. It sends requests that "
		"hold AWS identifiers made for them, and looks for each of them in the answer.\n"
		"- **Latency** is of successes only; failures stand beside it. Under load it "
		"counts "
		"from the time at which a request was due.\n"
		"- **Carried** is the number of successful answers in each tenth of the schedule "
		"but "
		"the first, per second. A little more is offered than the rate that is to be "
		"shown.\n"
		"- **Recovery**: a bucket of time is normal when its share of successes is not "
		"below "
		"the lowest before the fault, and its median latency not above the highest before "
		"it, or 1.5 times the median of those where they lie closer. The first of five "
		"normal ones in a row is the recovery. Noise can delay it, and a bucket is what it "
		"is known to.\n"
		"- **Availability** counts the requests that were due before a fault, or after the "
		"recovery from it, and those of the other phases but hop by hop.\n"
		"- **Masking** is judged by both ends: the API's stand-in looks for identifiers in "
		"what reaches it, the client for its own in what comes back. The API counts from "
		"its start, requests that belong to no phase included (to warm up, to measure the "
		"probe's cost), the client in the phases only.\n\n");
}

static void add_kernel(struct text *out, const json_t *session)
{
	text__add(out, "### What the kernel saw\n\n");
	if (!json_array_size(session__get(session, "series"))) {
		text__add(out, MD_NO_DATA ": no exchange was seen.\n\n");
		return;
	}
	text__add(out, "Every socket is a point of view of its own, never pooled with another: "
		       "`client` is the round trip at the asker's socket, `server` the time from a "
		       "request's arrival to its answer's last byte. All phases together, faults "
		       "included. Of what is encrypted that is in it which could be read in a "
		       "process's TLS "
		       "library; the rest is counted below. Parts of an exchange, such as the "
		       "time to its first byte, are in the session file.\n\n");
	if (md__tls_incomplete(session__get(session, "tls")))
		text__add(out, "**Incomplete**: so much of the TLS connections was lost, see "
			       "Accounting, that exchanges are missing in the rows of what they "
			       "carried.\n\n");
	md__series_table(out, session, false);
}

static void add_limits(struct text *out, const json_t *session)
{
	const json_t *e = session__get(session, "environment");
	double cpus = session__get_number(e, "cpus");
	double duration = session__get_number(session, "duration_s");

	text__add(out, "### What this run cannot tell\n\n");
	if (!session__get_bool(session, "complete", false))
		text__add(
			out,
			"- Anything about what was to come after it ended: the run is partial.\n");
	text__add(out,
		  "- What the Claude API takes: a stand-in answered, with latencies drawn from "
		  "the distribution that the configuration names.\n"
		  "- What Kong takes: the gateway is nginx with Lua, as Kong is, with a masker "
		  "of its own.\n"
		  "- What a network adds: every address is a loopback address of this "
		  "machine.\n");
	if (!isnan(cpus)) {
		text__add(out, "- What each container would take alone: they and the load shared ");
		md__plural(out, cpus, "processor", "processors");
		text__add(out, ".\n");
	}
	if (!isnan(duration)) {
		text__add(out,
			  "- Growth of memory or drift of latency over times much longer than ");
		gw__seconds(out, duration);
		text__add(out, ".\n");
	}
	text__add(out,
		  "- More than its intervals: they take the samples for independent, and "
		  "requests that follow each other on one machine are so only in part. Another "
		  "run on another day is the better check.\n");
}

void gw__method(struct text *out, const json_t *session)
{
	text__add(out, "## How it was measured\n\n");
	add_definitions(out);
	add_kernel(out, session);
	md__deeper(out, session, md__accounting);
	md__deeper(out, session, md__overhead);
	if (json_array_size(session__get(session__get(session, "overhead"), "programs")))
		text__add(out,
			  "Programs were counted in a short round of their own before the faults: "
			  "the kernel's counting takes time, so that no latency is of that round. "
			  "Processor time and memory are those of the whole run.\n\n");
	add_limits(out, session);
}
