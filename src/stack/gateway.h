/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The services of the gateway scenario on the loopback address, each in a cgroup of its own:
 *
 *	claude-client (the load) -> nginx-claude-proxy -> kong-gateway -TLS-> claude-api
 *	                                                  `-> redis-cache
 *
 * kong-gateway masks AWS identifiers in what it passes on; claude-api stands in for the Claude API.
 * Their configurations are templates in the folder `gateway` beside the scenario file.
 *
 *	gateway__defaults(&opts);        then what the scenario says
 *	gateway__check(&opts, &versions);  before anything is made: programs, modules, ports
 *	gateway__start(&g, &opts, &run, &watch);
 *	  gateway__kill(&g, GATEWAY_REDIS, &when) ...
 *	gateway__stop(&g, grace_ms, fd);   always, also after a start that failed
 *
 * Every function returns 0 or a negative errno; those that change something have told why with
 * log_fail() when they fail, those that look (health, counters) have not.
 */
#ifndef HOPSCOPE_STACK_GATEWAY_H
#define HOPSCOPE_STACK_GATEWAY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/cgroup.h"
#include "stack/child.h"
#include "stack/latency.h"
#include "stack/rundir.h"
#include "stack/watch.h"

/* In the order in which they start. */
enum gateway_id {
	GATEWAY_REDIS = 0,  /* redis-cache */
	GATEWAY_API = 1,    /* claude-api */
	GATEWAY_KONG = 2,   /* kong-gateway */
	GATEWAY_PROXY = 3,  /* nginx-claude-proxy */
	GATEWAY_CLIENT = 4, /* claude-client: only its cgroup, for the load worker */
	GATEWAY_COUNT = 5,
};

/* What the client asks; the route of the whole exchange is "POST /claude-proxy/v1/messages". */
#define GATEWAY_PATH	 "/claude-proxy/v1/messages"
#define GATEWAY_API_PATH "/v1/messages"

enum gateway_state {
	GATEWAY_DOWN = 0,   /* not started, or ended on request */
	GATEWAY_UP = 1,	    /* its process lives; whether it works: gateway__health() */
	GATEWAY_PAUSED = 2, /* its processes are frozen */
	GATEWAY_DIED = 3,   /* ended without being asked; the watch has said so */
};

struct gateway_opts {
	const char *templates;		     /* the folder; gateway__templates() finds it */
	uint16_t port[GATEWAY_COUNT];	     /* 0: a free one. The issue's: proxy 8082, kong 8000 */
	uint16_t api_status_port;	     /* plain HTTP, counters of claude-api; 0: a free one */
	uint64_t memory[GATEWAY_COUNT];	     /* limit in bytes; 0: none */
	unsigned int workers[GATEWAY_COUNT]; /* nginx worker processes, 1 or 2 */

	struct latency latency; /* of claude-api's answers */
	double error_share;	/* of its answers that are a 529 (overloaded), 0 to 1 */
	uint64_t seed;		/* of both; a worker process adds its number */

	unsigned int map_ttl_s;	       /* how long a mask is remembered after its last use */
	unsigned int breaker_failures; /* in a row, of Redis or upstream, that open the breaker */
	unsigned int breaker_open_ms;  /* then a probe is let through */
	unsigned int redis_timeout_ms; /* connect, and each answer */
	unsigned int upstream_timeout_ms; /* kong-gateway: without a byte from claude-api */
	bool access_log;		  /* default true */

	/*
	 * For known answers. The first two are slept by nginx, whose timers have whole
	 * milliseconds: as near as 0.5 ms on a processor that is free. How long it was is in
	 * X-Delay-Us and X-Proxy-Delay-Us of each answer. A relay is exact.
	 */
	unsigned int api_delay_ms;   /* added to what the distribution says */
	unsigned int proxy_delay_ms; /* in nginx-claude-proxy, before it passes a request on */
	/* Ports at which a relay stands before the service; 0: none. The asker connects there. */
	uint16_t redis_via, api_via, kong_via;
};

struct gateway_service {
	const char *name;
	uint16_t port; /* 0: GATEWAY_CLIENT */
	struct cgroup cgroup;
	uint64_t memory; /* its limit; 0: none */
	struct child child;
	enum gateway_state state;  /* what we did last; ask gateway__state() */
	unsigned int starts;	   /* times it was started */
	char dir[PATH_MAX];	   /* its configuration, below the run directory */
	char access_log[PATH_MAX]; /* JSON lines, in the run's store; "" when it has none */
};

struct gateway {
	struct gateway_service service[GATEWAY_COUNT];
	uint16_t api_status_port;
	char ca[PATH_MAX]; /* certificate with which claude-api can be verified (name claude-api) */
	struct gateway_opts opts;
	const struct rundir *run;
	struct watch *watch;
	char nginx[PATH_MAX]; /* programs */
	char redis[PATH_MAX];
};

struct gateway_versions {
	char nginx[32];	     /* "1.22.1" */
	char lua_module[32]; /* "0.10.23", as the running kong-gateway says; "" before */
	char redis[32];
	char openssl[32]; /* of nginx */
};

/* When an act on a service began and had its effect, CLOCK_MONOTONIC. */
struct gateway_span {
	uint64_t begin_ns, end_ns;
};

struct gateway_health {
	bool healthy;
	uint64_t took_ns; /* from before the connection to the answer; 0: no answer */
	char why[160];	  /* "" when healthy: "connect: Connection refused" */
};

/* Of claude-api since it was started; counted by itself. */
struct gateway_counters {
	uint64_t requests;	   /* to /v1/messages */
	uint64_t with_identifiers; /* of these: an AWS identifier was found in head or body */
	uint64_t errors;	   /* answered with an error on purpose */
	uint64_t bad;		   /* refused: not a Claude messages request */
	uint64_t connections;	   /* TLS connections accepted */
	uint64_t answered;	   /* after a delay; the next two are about these */
	uint64_t wanted_us;	   /* sum of the delays that were drawn */
	uint64_t waited_us;	   /* sum of the delays as they were */
};

enum breaker_state { BREAKER_CLOSED = 0, BREAKER_OPEN = 1, BREAKER_HALF_OPEN = 2 };

/* Of kong-gateway since it was started. */
struct gateway_status {
	enum breaker_state breaker;
	unsigned int failures; /* in a row, as the breaker counts */
	unsigned int opened;   /* times */
	uint64_t requests;     /* to GATEWAY_PATH */
	uint64_t masked;       /* identifiers replaced, each place counted */
	uint64_t unmasked;     /* masks put back in answers */
	uint64_t redis_failures, upstream_failures;
	uint64_t refused; /* 503 because of the breaker */
};

void gateway__defaults(struct gateway_opts *opts);
/* The folder `gateway` beside the scenario file. 0, -ENOENT or -ENAMETOOLONG. */
int gateway__templates(const char *scenario, char path[PATH_MAX]);
const char *gateway__name(enum gateway_id id);
/* GATEWAY_COUNT when there is none of this name. */
enum gateway_id gateway__find(const char *name);

/* Something that must be installed. */
struct gateway_need {
	const char *name;
	const char *package; /* of Debian, one or more */
	bool there;
	char found[256]; /* where it is; not there: why not, as a sentence */
};

#define GATEWAY_NEEDS 6

/* Looks for each. Says nothing; the versions are filled in as far as they are known. */
void gateway__needs(struct gateway_need needs[GATEWAY_NEEDS], struct gateway_versions *versions);

/*
 * What a start needs: options that make sense, nginx with its Lua module, redis-server, openssl,
 * the templates, fixed ports that are free. -ENOENT names the package that is missing.
 */
int gateway__check(const struct gateway_opts *opts, struct gateway_versions *versions);

/*
 * Makes the cgroups with their limits, the certificate and the configurations, starts the services
 * in order, and waits until each is healthy. run->cgroup exists. -EINTR: Ctrl-C. The watch must be
 * the same for the life of `g`, and `g` stay where it is.
 */
int gateway__start(struct gateway *g, const struct gateway_opts *opts, const struct rundir *run,
		   struct watch *watch);
/* Ends all, as child__stop_all() does. Paused ones, too. Accepts what never started. */
void gateway__stop(struct gateway *g, unsigned int grace_ms, int impatient_fd);
/* Fills in lua_module, which only the running one knows. */
int gateway__versions(const struct gateway *g, struct gateway_versions *versions);

/* Notices an end that nobody asked for, too. */
enum gateway_state gateway__state(struct gateway *g, enum gateway_id id);

/*
 * Faults. None of these makes the watch report a death. `when` may be NULL. -EINVAL: the service is
 * not in a state for it (it is down; it is paused already).
 */

/* SIGTERM, and SIGKILL after grace_ms. nginx closes connections at once at SIGTERM. */
int gateway__terminate(struct gateway *g, enum gateway_id id, unsigned int grace_ms,
		       struct gateway_span *when);
/* SIGKILL to all of its processes, workers too, at once. */
int gateway__kill(struct gateway *g, enum gateway_id id, struct gateway_span *when);
/* Starts one again that is down: same port, cgroup and configuration. Does not wait. */
int gateway__launch(struct gateway *g, enum gateway_id id, struct gateway_span *when);
/* Until it is healthy. -ETIMEDOUT after log_fail(), -ECHILD: it ended, -EINTR. */
int gateway__await(struct gateway *g, enum gateway_id id, unsigned int timeout_ms);
/* Freezes all of its processes: connections stay, the kernel goes on to accept new ones. */
int gateway__pause(struct gateway *g, enum gateway_id id, struct gateway_span *when);
int gateway__resume(struct gateway *g, enum gateway_id id, struct gateway_span *when);
/*
 * Aborts every established TCP connection that the service holds, in and out: both ends see a
 * reset. *n: how many. -EOPNOTSUPP: the kernel has no CONFIG_INET_DIAG_DESTROY. GATEWAY_CLIENT
 * works, too.
 */
int gateway__reset(struct gateway *g, enum gateway_id id, unsigned int *n,
		   struct gateway_span *when);

/* Asks the service itself (Redis: PING). Never blocks for longer than timeout_ms. */
int gateway__health(const struct gateway *g, enum gateway_id id, unsigned int timeout_ms,
		    struct gateway_health *h);
int gateway__counters(const struct gateway *g, struct gateway_counters *c);
int gateway__status(const struct gateway *g, struct gateway_status *s);
/* The last lines of what it said (errors), for a test to show. Returns buf. */
const char *gateway__tail(const struct gateway *g, enum gateway_id id, int lines, char *buf,
			  size_t size);

#endif
