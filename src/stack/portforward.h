/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the port-forward scenario runs against: a NATS cluster and an HTTP server, and the ways that
 * lead there, each end in a network namespace of its own:
 *
 *	client ---veth--- forwarder ---veth--- cluster      n1 n2 n3 (nats-server), web (nginx)
 *
 *	direct      client ........ routed ...... n1
 *	dnat        client .. routed, nftables .. n1        a virtual address, as kube-proxy has it
 *	socat       client --- socat ------------ n1        one connection behind each in front
 *	haproxy     client --- haproxy ---------- n1
 *	ssh         client --- ssh -L ===== sshd - n1       one SSH connection for each server
 *	kubectl     client --- kubectl ==== kube-api - n1   one SPDY/3.1 connection for each server
 *	kubectl-ws  the same, SPDY tunnelled through a WebSocket (kubectl 1.30 and newer)
 *
 * Every way crosses the same two veths, `direct` too: the forwarder's namespace routes it. So it
 * differs from the others by nothing but the relay, and not by the network's length as well. What
 * netfilter costs is dnat's alone: the connections of the others are not tracked. The far half of a
 * tunnel, sshd or kube-api, is in the cluster's namespace and reaches the servers over its loopback
 * device, as a kubelet does with a pod.
 *
 * kube-api is a test server of ours (scenarios/port-forward, Node.js) for the part of the API that
 * `kubectl port-forward` uses; what it takes itself says nothing about Kubernetes' own server.
 * kubectl, ssh, sshd, haproxy and socat are the real ones.
 *
 * The namespaces have no names. They are held by descriptors of this process and by the processes
 * inside, and go with them, also after a `kill -9`. The host's own network is not touched.
 *
 *	pf_stack__defaults(&opts);       then what the scenario says
 *	pf_stack__start(&s, &opts, &run, &watch);   run.cgroup exists; needs CAP_SYS_ADMIN
 *	  pf_stack__nats(&s, PF_SOCAT, 0), spec.netns = pf_stack__client_netns(&s) ...
 *	pf_stack__stop(&s, grace_ms, fd);           always, also after a start that failed
 *
 * Every function that returns int returns 0 or a negative errno; start has told why with
 * log_fail().
 */
#ifndef HOPSCOPE_STACK_PORTFORWARD_H
#define HOPSCOPE_STACK_PORTFORWARD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/cgroup.h"
#include "stack/child.h"
#include "stack/nats.h"
#include "stack/netns.h"
#include "stack/rundir.h"
#include "stack/watch.h"

enum pf_way {
	PF_DIRECT = 0,
	PF_SOCAT = 1,
	PF_HAPROXY = 2,
	PF_SSH = 3,
	PF_DNAT = 4,
	PF_KUBECTL = 5,
	PF_KUBECTL_WS = 6,
	PF_WAYS = 7,
};

#define PF_ALL_WAYS   ((1u << PF_WAYS) - 1)
#define PF_MAX_NODES  5
#define PF_MAX_SERVER (PF_MAX_NODES + 1) /* the nodes, and web */
#define PF_MAX_RELAYS (PF_MAX_SERVER + 1)

enum pf_place { PF_CLIENT = 0, PF_FORWARDER = 1, PF_CLUSTER = 2, PF_PLACES = 3 };

struct pf_opts {
	unsigned int ways;	  /* 1u << enum pf_way; direct is always there. Default: all */
	size_t nodes;		  /* default 3 */
	const char *files;	  /* the folder; pf_stack__files() finds it */
	const char *nats_program; /* NULL: nats-server */
	const char *kubectl;	  /* for PF_KUBECTL; NULL: Debian's, else that in PATH */
	const char *kubectl_ws;	  /* for PF_KUBECTL_WS; NULL: the newest of these */
};

struct pf_endpoint {
	char host[INET_ADDR_LEN]; /* an address as text; seen from the client's namespace */
	uint16_t port;
};

/* A process, with those that it forks, in a cgroup of its own. */
struct pf_relay {
	char name[24];	     /* of its cgroup, too: "socat-n1", "sshd" */
	const char *program; /* "socat", "kubectl", "kube-api" */
	int server;	     /* the one that it leads to (web: the number of nodes); -1: all */
	enum pf_place place;
	struct cgroup cgroup; /* cgroup.id names its sockets; cgroup.procs its processes */
	struct child child;   /* child.started: its pid */
};

struct pf_route {
	bool wanted;
	bool available;	   /* it was started, and carried a request to each server */
	char why[256];	   /* not available: why, as a sentence: "kubectl is not installed" */
	char version[128]; /* "socat 1.7.4.4", "kubectl v1.20.2, SPDY/3.1, to ..." */
	char command[512]; /* of the first relay, as a user would type it; "" when there is none */
	struct pf_endpoint to[PF_MAX_SERVER];
	struct pf_relay relays[PF_MAX_RELAYS]; /* those of the cluster's side, sshd, come first */
	size_t n_relays;		       /* 0: direct, dnat */
};

struct pf_web {
	uint16_t port;
	struct cgroup cgroup;
	struct child child;
};

struct pf_stack {
	struct netns ns[PF_PLACES];
	struct nats_node nodes[PF_MAX_NODES];
	size_t n_nodes;
	struct pf_web web;
	struct pf_route routes[PF_WAYS];
	char nats_version[32], web_version[32];
	struct pf_opts opts;
	const struct rundir *run;
	struct watch *watch;
};

/* "direct", "socat", "haproxy", "ssh", "dnat", "kubectl", "kubectl-ws". */
const char *pf_way__name(enum pf_way way);
/* PF_WAYS when there is none of this name. */
enum pf_way pf_way__find(const char *name);

void pf_stack__defaults(struct pf_opts *opts);
/* The folder `port-forward` beside the scenario file. 0, -ENOENT or -ENAMETOOLONG. */
int pf_stack__files(const char *scenario, char path[PATH_MAX]);

/*
 * Makes the namespaces, starts the cluster and each way that was asked for, and waits until a
 * request passed. A way that this machine cannot have is no failure: its `available` is false and
 * `why` is set. -EINTR: Ctrl-C. `s` and the watch stay where they are until the stop.
 */
int pf_stack__start(struct pf_stack *s, const struct pf_opts *opts, const struct rundir *run,
		    struct watch *watch);
/* Ends all processes and lets go of the namespaces. grace_ms 0: SIGKILL at once. */
void pf_stack__stop(struct pf_stack *s, unsigned int grace_ms, int impatient_fd);

/* Whether the way's relays all live (and the way is available). */
bool pf_stack__alive(const struct pf_stack *s, enum pf_way way);

/* Where a client in the client's namespace connects: host:port. Node from 0. */
const struct pf_endpoint *pf_stack__nats(const struct pf_stack *s, enum pf_way way, size_t node);
/*
 * The HTTP server. GET /bytes/N answers with N bytes (up to 16 MiB), POST /echo with what was sent
 * (up to 16 MiB), GET / with "ok\n".
 */
const struct pf_endpoint *pf_stack__http(const struct pf_stack *s, enum pf_way way);
/* For child_spec.netns of the load worker and the responder, or netns__enter(). */
const struct netns *pf_stack__client_netns(const struct pf_stack *s);
/* Where the servers are: a responder in the cluster connects to 127.0.0.1:nodes[i].client. */
const struct netns *pf_stack__cluster_netns(const struct pf_stack *s);

/* One request: NATS PING, HTTP GET /. `server`: a node, or the number of nodes for web. */
int pf_stack__check(const struct pf_stack *s, enum pf_way way, size_t server,
		    unsigned int timeout_ms, uint64_t *took_ns, char *why, size_t size);

/*
 * Processor time of one relay since it was started, from its cgroup (microseconds exact). What the
 * kernel does in the name of others, softirqs, is theirs: routing and DNAT appear nowhere.
 */
int pf_relay__cpu_ns(const struct pf_relay *relay, uint64_t *ns);

/* One end of the connections of a leg, from TCP_INFO of those that are open now. */
struct pf_leg_end {
	unsigned int connections;
	uint64_t segments; /* sent with data */
	/* Tail loss probes, too, which an acknowledgement that is only late provokes. */
	uint64_t retransmits;
	unsigned int with_rtt; /* connections with a smoothed round trip; 0: the next three are 0 */
	uint64_t srtt_min_ns, srtt_mean_ns, srtt_max_ns;
};

/* The connections between two neighbours on a way: client - relay, relay - relay, relay - server.
 */
struct pf_leg {
	char from[24], to[24];	       /* "client", "socat", "kube-api", "cluster" */
	struct pf_leg_end front, back; /* the end nearer to the client, and the other */
};

#define PF_MAX_LEGS 3

/*
 * The legs of a way, in order, *n of them: direct and dnat have one. To be asked while the
 * connections are open: what has closed is not in it (but is in pf_stack__tcp()). The client's end
 * is of all sockets of its namespace that lead this way.
 */
int pf_stack__legs(const struct pf_stack *s, enum pf_way way, struct pf_leg legs[PF_MAX_LEGS],
		   size_t *n);

/* What the kernel counted in a namespace since it was made, closed connections too. */
struct pf_tcp {
	uint64_t in_segments, out_segments, retransmits;
};

int pf_stack__tcp(const struct pf_stack *s, enum pf_place place, struct pf_tcp *tcp);

#endif
