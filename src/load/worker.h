/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Load workers: the SDK-like NATS workload and the HTTP one, a process for each role, started by
 * `hopscope bench` as `hopscope __worker ROLE [PPID]` and driven by one JSON object a line on
 * stdin, answered by one JSON object a line on stdout. stderr is for people. nats.c and libcurl are
 * used here and nowhere else.
 *
 * LIFE
 *   The first line is the configuration. The worker connects, subscribes, waits until the interest
 *   has reached every node and prints
 *     {"event":"ready","pid":N,"role":"..","name":".."}
 *   or {"event":"error","what":"..","why":".."} and exits 1. Then every line is a command with
 *   exactly one line of answer; a command that cannot be carried out is answered with an "error"
 *   event and the worker goes on. At "quit", the end of stdin or SIGTERM the worker drains, prints
 *     {"event":"stats","final":true,..}
 *   and exits 0. SIGTERM also ends a command under way, which is then answered with
 *   "aborted":true; a second SIGTERM kills. SIGINT is ignored: the parent decides. SIGKILL follows
 *   the death of the parent's thread that forked (PR_SET_PDEATHSIG), so start workers from the
 *   main thread; PPID closes the race of a parent that died before that was asked for. Keep the
 *   other ends of the pipes close-on-exec, or a sibling keeps stdin from ending.
 *   All times are CLOCK_MONOTONIC in ns. Every wait ends by itself.
 *
 * CONFIGURATION, every role but http
 *   {"role":"rpc","name":"svc-1","urls":["nats://127.0.0.1:4222",..],"pool":3,
 *    "probe_urls":[..], "connect_timeout_ms":5000}
 *   pool: connections, used round-robin; one that is down is passed over while another is up.
 *   Connection i tries urls[i % n] first, then the others in order. Servers that a server announces
 *   are ignored: a reconnect must not find its way around a forwarder that is being measured.
 *   probe_urls (default: urls): the nodes from which interest is probed before "ready".
 *   connect_timeout_ms: how long a server that does not yet listen is tried again.
 *
 * ROLES
 *   service    {"service":"svc-1","methods":["echo","sum"],"queue":"svc-1","delay_us":0,
 *               "no_reply":false,"event_subjects":["events.svc-1.>"]}
 *              answers rpc.<service>.<method> (queue: default the service), counts events. delay_us
 *              occupies the subscription, as a busy single-threaded service would.
 *   rpc        warmup {"subject":S | "subjects":[..],"calls":1,"timeout_ms":5000}
 *                -> {"event":"done","warm":bool,"attempted":N,"succeeded":N,"failed":N,"errors":{}}
 *                every subject through every connection, tried again until it answers.
 *              run {"subject":S | "subjects":[..],"calls":200,"mode":"closed","concurrency":1,
 *                   "payload":64,"timeout_ms":2000,"headers":false,"record":false,"limit_s":60}
 *              run {"mode":"open","rate":500,"calls":N,..}: call i starts at t0 + i/rate, whatever
 *                the answers do. A call times out timeout_ms after its actual send.
 *                -> {"event":"done","mode":"..","attempted":N,"succeeded":N,"failed":N,
 *                    "errors":{"timeout":0,"no_responders":0,"bad_envelope":0,"remote_error":0,
 *                              "disconnected":0,"other":0},
 *                    "duration_s":x,"start_ns":N,"end_ns":N,"behind_schedule":N,
 *                    "client":HIST,"intended":HIST|null,"disconnects":N,"reconnects":N,
 *                    "aborted":bool,"calls":[[start_ns,end_ns],..] with "record"}
 *   publisher  {"stream":"EVENTS_BENCH","subjects":["events.>"],"replicas":1,"storage":"memory",
 *               "create_stream":true,"setup_timeout_ms":15000}
 *              run {"subjects":["events.orders.created",..],"events":10000,"batch":100,
 *                   "payload":128,"timeout_ms":10000,"run_id":"..","first_id":0,"purge":false,
 *                   "limit_s":60}: publishes a batch, waits for all its acks (timeout_ms), next.
 *                -> {"event":"done","published":N,"acked":N,"failed":N,"errors":{"timeout":0,
 *                    "no_responders":0,"rejected":0,"disconnected":0,"other":0},"last_error":""|..,
 *                    "duration_s":x,"start_ns":N,"end_ns":N,"rate_per_s":acked/s|null,"ack":HIST,
 *                    "disconnects":N,"reconnects":N,"aborted":bool}
 *                published: handed to the connection; acked + failed = events attempted.
 *              "quit" deletes the stream if this worker created it.
 *   subscriber {"subject":"events.>","queue":null}: core NATS, one connection.
 *              arm {"run_id":"..","events":N,"first_id":0} -> {"event":"armed"}
 *              expect {"run_id":"..","events":N,"timeout_ms":N} (arms if that was not done)
 *                -> {"event":"done","received":N,"distinct":N,"duplicates":N,"missing":N,
 *                    "missing_ids":[<=20],"first_ns":N|null,"last_ns":N|null,"foreign":N,
 *                    "malformed":N,"dropped":N,"aborted":bool}
 *   http       see below: another configuration, and no NATS.
 *   every role stats -> {"event":"stats",..} and quit.
 *   limit_s (optional, no limit without it) ends a run early, "aborted":true.
 *
 * THE ROLE "http"
 *   configuration {"role":"http","name":"client","url":"http://127.0.0.1:8082/path",
 *                  "connections":64,"ca":"/path"|null}
 *     The host of the URL is a number: looking up a name would be part of the latency. ca: who
 *     vouches for a https server (null: whom the system trusts). "ready" needs no server. At most
 *     `connections` calls are in flight, each on a connection of its own, kept for the next call.
 *   run {"mode":"open","rate":1000,"calls":N | "mode":"closed","concurrency":1,"calls":N,
 *        "method":"POST","content":"masker"|"none","payload":0,"seed":0,"timeout_ms":5000,
 *        "bucket_ms":0,"record":false,"traceparent":false,"limit_s":60}
 *     open: call i is due at start_ns + i/rate, whatever the answers do; when all connections are
 *       taken it waits, and its `intended` latency with it. closed: `concurrency` calls at a time.
 *     timeout_ms counts from the actual start; the connection is closed then. limit_s: no call
 *       starts after it, those in flight get their time. SIGTERM ends those in flight too.
 *     content "masker": src/load/http_body.h; a 200 without every identifier of its request, or
 *       with a mask left in it, is a "bad_body". payload: bytes of filler in the body.
 *     A request is never sent twice: where a kept connection turns out to be dead, the call fails.
 *     An answer of more than 4 MiB is given up ("other").
 *   close: the connections that are kept -> {"event":"done"}
 *   run -> {"event":"done","mode":"..","attempted":N (started),"succeeded":N (2xx, body good),
 *       "failed":N,"status":{"1xx":0,"2xx":N,"3xx":0,"4xx":0,"5xx":N},"codes":{"200":N,"503":N},
 *       "errors":{"refused":0,"reset":0,"timeout":0,"closed":0,"tls":0,"bad_body":0,"other":0},
 *       "duration_s":x,"start_ns":N,"end_ns":N,"behind_schedule":N (started more than 1 ms late),
 *       "late_ns_max":N|null,"waited":N (late because no connection was free),
 *       "unsent":N (due before the run was ended, not started),"connections_opened":N (tried),
 *       "peak_in_flight":N,"cpu_s":x (of this process in the run),"client":HIST,
 *       "intended":HIST|null,"timeline":[..] with bucket_ms,"first_failures":[{"t_ns":N (when it
 *       was known),"what":"refused"|"503"},.. <= 20],"calls":[[due_ns,start_ns,end_ns,code],..]
 *       with "record","aborted":bool}
 *     status and codes count whole answers, a "bad_body" among them: attempted = sum(codes) +
 *       sum(errors) - bad_body. In "calls" an error has the code 0. due_ns is start_ns when closed.
 *     timeline: {"t_ns":N (start of the bucket),"due":N (attempted),"succeeded":N,"failed":N,
 *       "codes":{..},"errors":{..} (those that occurred),"p50_ns":N|null,"p99_ns":N|null,
 *       "max_ns":N|null}, calls by the bucket in which they were due, buckets without one left out;
 *       exact quantiles by nearest rank of the latency from the due time, successful calls only.
 *
 * HIST  {"sum":N,"min_ns":N|null,"max_ns":N|null,"buckets":[[index,count],..]}: include/hist.h,
 *       successful calls only.
 */
#ifndef HOPSCOPE_LOAD_WORKER_H
#define HOPSCOPE_LOAD_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "load/fault.h"
#include "load/pool.h"

struct worker {
	const struct load_role *role;
	char name[64];
	struct pool pool;
	struct fault fault; /* why the last call that returned an error did */
	atomic_bool stop;   /* SIGTERM: finish what is under way */
	int wake;	    /* can be read from SIGTERM on: for a role that waits in epoll */
	void *state;	    /* the role's own */
};

struct load_role {
	const char *name;
	bool no_pool; /* the role has nothing to do with NATS: w->pool is not opened */
	/*
	 * send_asap: publishes leave at once instead of waiting up to 1 ms for nats.c's flusher,
	 * which every role that is timed by somebody's stopwatch needs.
	 */
	bool send_asap;
	unsigned int default_pool;
	unsigned int max_pool;
	/* Called with the pool, if any, connected. 0, or a negative errno with w->fault set. */
	int (*start)(struct worker *w, const json_t *config);
	/*
	 * Carries out a command and returns the answer, or NULL with w->fault set. -ENOSYS in
	 * w->fault.err: not a command of this role.
	 */
	json_t *(*command)(struct worker *w, const char *cmd, const json_t *args);
	void (*stats)(struct worker *w, json_t *out);
	/* Connections still up: give back what was taken on the server. May be half-started; NULL.
	 */
	void (*stop)(struct worker *w);
	/* Connections are gone and no callback runs any more: free. */
	void (*free)(struct worker *w);
};

/* A role is a file in this folder and a row here: X(name) stands for load_role_<name>. */
#define LOAD_ROLES(X) \
	X(service)    \
	X(rpc)        \
	X(publisher)  \
	X(subscriber) \
	X(http)

#define LOAD_ROLE_DECLARE(name) extern const struct load_role load_role_##name;
LOAD_ROLES(LOAD_ROLE_DECLARE)
#undef LOAD_ROLE_DECLARE

/*
 * The whole life of a worker. `parent` is the expected parent's pid or 0. Returns an enum
 * exit_code.
 */
int worker__main(const char *role, pid_t parent);

/* SIGTERM came, or the time limit (0: none) has passed. */
bool worker__should_stop(const struct worker *w, uint64_t limit_ns);

#endif
