/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The two halves of the role "rpc": the closed loop and warming up (rpc.c), the open (rpc_open.c).
 */
#ifndef HOPSCOPE_LOAD_RPC_H
#define HOPSCOPE_LOAD_RPC_H

#include <pthread.h>

#include "load/calls.h"
#include "load/envelope.h"
#include "load/worker.h"

#define RPC_CALLS_MAX	    10000000
#define RPC_CONCURRENCY_MAX 512
#define RPC_PAYLOAD_MAX	    (1 << 20)

/* Where the replies of open-loop calls arrive: one for each connection of the pool. */
struct rpc_inbox {
	struct rpc *rpc;
	char subject[64]; /* the reply subject is this, '.', and the call's number */
	size_t len;
	struct envelope_reader reader;
};

struct rpc {
	struct worker *w;
	struct envelope_ids ids;
	struct envelope_ids traces;
	uint64_t seq; /* calls begun by the runs so far; main thread only */
	struct rpc_inbox *inboxes;
	size_t n_inboxes;
	uint64_t total[3];    /* attempted, succeeded, failed, of all runs */
	pthread_mutex_t lock; /* everything below: the open run that replies belong to */
	pthread_cond_t all;
	struct calls *open; /* NULL: none */
	uint64_t base;	    /* number of its first call */
	uint64_t timeout_ns;
	size_t payload;
	size_t finished;
	size_t expected; /* signal `all` when that many have finished */
};

struct rpc_target {
	const char *subject; /* of the command's object */
	struct slice target;
	struct slice method;
};

struct rpc_run {
	struct rpc *rpc;
	struct rpc_target *targets;
	size_t n_targets;
	const char *payload; /* zeroes would be too easy on a server that compresses */
	size_t payload_len;
	bool headers;
	uint64_t timeout_ns;
	uint64_t limit_ns; /* time at which the run ends; 0: none */
	double rate;	   /* open loop */
	unsigned int concurrency;
	uint64_t base; /* number of the first call */
	struct calls calls;
	uint64_t start_ns;
	uint64_t end_ns;
};

/* Call i of the run, encoded into `out` (cleared first). 0 or -ENOMEM. */
int rpc__encode(const struct rpc_run *run, size_t i, msgpack_sbuffer *out);
/* "traceparent" of call number seq, W3C form. Returns buf. */
#define TRACEPARENT_LEN 55
char *rpc__traceparent(const struct rpc *rpc, uint64_t seq, char buf[TRACEPARENT_LEN + 1]);
/* What a reply says about call number seq: CALL_OK or why it is none. */
enum call_status rpc__judge(const struct rpc *rpc, struct envelope_reader *reader, natsMsg *reply,
			    uint64_t seq, size_t payload_len);
enum call_status rpc__status(natsStatus s);

/* Subscribes the inboxes. Before the worker is ready. */
int rpc_open__start(struct rpc *rpc);
/* Runs; 0, or a negative errno with the fault set. */
int rpc_open__run(struct rpc_run *run);

#endif
