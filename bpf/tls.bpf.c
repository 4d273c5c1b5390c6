// SPDX-License-Identifier: GPL-2.0-only
/*
 * The plaintext of TLS connections. Probes on the functions that programs read and write it with
 * (src/probe/tls_libs.c) feed the framers of the wire probe, whose maps this object shares.
 *
 * Written text is read when the function is entered, and that is its time: an answer may be read by
 * another thread before the function returns. How much of it the library takes is known only then.
 * What it does not take it will be given again (WANT_WRITE, partial writes), and that is passed
 * over: `ahead`. What was read is there at the return.
 *
 * A connection is a library's object in a process, from its first call to its end (SSL_free), the
 * process's, or the program's. Its socket is the one that the thread moves bytes on during a call.
 * Where the program itself carries bytes between library and socket (node, Python's asyncio) that
 * is nowhere to be seen; then it is the one that the thread read last before it called.
 */
#include "vmlinux.h"

#include <linux/in.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "arch.bpf.h"
#include "tls_record.h"

struct tls_key {
	__u64 object;
	__u64 tgid;
};

/* Where the text of a call is: what framers take for their context. */
struct tls_text {
	__u64 at;
};

#define WIRE_CTX struct tls_text

#include "feed_hooks.bpf.h"
#include "feed.bpf.h"
#include "expire.bpf.h"
#include "task_stack.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct tls_conn {
	struct conn conn;
	__u64 ahead;  /* bytes that were read from write calls, and not taken yet */
	__u64 socket; /* cookie; 0: not known */
	__u64 guessed;
	__u64 missed[2]; /* bytes that passed unread: no sequence numbers tell of them */
};

/*
 * Connections that ended with something in flight stay, by their number: what that means for
 * exchanges is found out when userspace sweeps, not by every program that sees an end.
 */
#define TLS_ENDED (~0ULL) /* in the place of a process */

/* Never an LRU: it would drop connections that wait, and what they wait for. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct tls_key);
	__type(value, struct tls_conn);
} tls_conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, __u64); /* the connection's number */
	__type(value, struct flights);
} tls_flights SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048 * FIFO_RINGS);
	__type(key, __u64); /* tls__ring() */
	__type(value, struct fifo_ring);
} tls_rings SEC(".maps");

/* What new entries begin as; nobody writes to it. */
struct tls_blank {
	union {
		struct tls_conn conn;
		struct flights flights;
		struct fifo_ring ring;
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tls_blank);
} tls_blanks SEC(".maps");

/* Processes that have connections here: only their end is of interest. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u32);
} tls_processes SEC(".maps");

/* Sockets that were guessed, by cookie. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64); /* number of the connection that guessed it last */
} tls_sockets SEC(".maps");

/* Programs that began: userspace looks at what they map. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4096);
	__type(value, __u32);
} tls_execs SEC(".maps");

/* A call that a thread is in; outside of calls, what it read last. Goes with its thread. */
struct tls_call {
	__u64 sp; /* where its return address is */
	__u64 size;
	__u64 done; /* where it stores how much it moved */
	__u32 site;
	__u32 epoch; /* of the attach: a return before that is not seen */
	__u8 active;
	__u8 role;
	__u8 pad[6];
	struct tls_text text;
	struct tls_key key;
	__u64 last_socket;
	__u16 last_local, last_remote;
	__u32 pad2;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tls_call);
} tls_calls SEC(".maps");

struct tls_stats tls_stats;
__u64 tls_numbers = 0;

#define TLS_COUNT(what) ((void)__sync_fetch_and_add(&tls_stats.what, 1))
/* Names of connections where sockets have their cookies, which never get there. */
#define TLS_COOKIE_BIT (1ULL << 63)

/* ---- what the framers need: source.bpf.h */

static __always_inline int wire_ctx__read(wire_ctx *text, __u32 off, void *to, __u32 n)
{
	if (!text)
		return -1;
	return (int)bpf_probe_read_user(to, n, (const void *)(text->at + off));
}

static __always_inline void *tls__table(void *map, const void *key, bool create)
{
	void *v = bpf_map_lookup_elem(map, key), *blank;
	__u32 zero = 0;

	if (v || !create)
		return v;
	blank = bpf_map_lookup_elem(&tls_blanks, &zero);
	if (!blank)
		return NULL;
	bpf_map_update_elem(map, key, blank, BPF_NOEXIST); /* or another thread was quicker */
	return bpf_map_lookup_elem(map, key);
}

/*
 * Global functions that pass their context on to nobody who uses it are called with anything in its
 * place, which the verifier then takes for memory that they write to.
 */
#define USE(var) asm volatile("" : : "r"(var))

static __always_inline struct flights *wire_ctx__flights(wire_ctx *text, const struct conn *c,
							 bool create)
{
	__u64 number = c->cookie; /* see scratch__again() */

	USE(text);
	return tls__table(&tls_flights, &number, create);
}

/* The key of one of a connection's rings. */
static __always_inline __u64 tls__ring(__u64 number, __u32 which)
{
	return number * FIFO_RINGS + which;
}

static __always_inline struct fifo_ring *wire_ctx__ring(wire_ctx *text, const struct conn *c,
							__u32 which, bool create)
{
	__u64 number = tls__ring(c->cookie, which);

	USE(text);
	return tls__table(&tls_rings, &number, create);
}

/* ---- connections */

static __always_inline bool tls__in_cgroups(void)
{
	__u32 i;

	for (i = 0; i < 16 && i < targ_n_cgroups; i++) {
		if (bpf_get_current_ancestor_cgroup_id((int)targ_cgroup_levels[i]) ==
		    targ_cgroups[i])
			return true;
	}
	return false;
}

/* Like filter__socket(), but ports may come to be known later than bytes. */
static __always_inline void tls__decide(struct tls_conn *t)
{
	struct conn *c = &t->conn;

	if (targ_n_ports && !t->socket)
		return;
	if (targ_n_ports && !filter__port(c))
		filter__outside(c);
	else
		filter__decide(c);
}

static __noinline struct tls_conn *tls__create(const struct tls_key *key)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 tgid = (__u32)key->tgid, one = 1;
	struct tls_conn *t = tls__table(&tls_conns, key, true);

	if (!t) {
		TLS_COUNT(conns_lost);
		return NULL;
	}
	if (t->conn.cookie)
		return t;
	/* Without it, nothing would tell that the connection ended with its process. */
	if (bpf_map_update_elem(&tls_processes, &tgid, &one, BPF_ANY)) {
		bpf_map_delete_elem(&tls_conns, key);
		TLS_COUNT(conns_lost);
		return NULL;
	}
	t->conn.attach_epoch = *(volatile __u32 *)&attach_epoch;
	t->conn.cgroup = bpf_get_current_cgroup_id();
	conn__set_owner(&t->conn, task->group_leader); /* nothing is decided: there is no cookie */
	t->conn.cookie = TLS_COOKIE_BIT | __sync_fetch_and_add(&tls_numbers, 1);
	if (targ_n_cgroups && !tls__in_cgroups())
		filter__outside(&t->conn);
	TLS_COUNT(conns);
	return t;
}

static __always_inline struct tls_conn *tls__conn(const struct tls_key *key)
{
	struct tls_conn *t = bpf_map_lookup_elem(&tls_conns, key);

	return t ? t : tls__create(key);
}

/* The connection's socket is this one. */
static __always_inline void tls__bind(struct tls_conn *t, __u64 socket, __u16 local, __u16 remote)
{
	t->socket = socket;
	t->conn.cause.socket = socket;
	t->conn.port_local = local;
	t->conn.port_remote = remote;
	t->conn.claimed = filter__port(&t->conn);
}

/* The guess was another's, or it is known now. Meanwhile the socket may be another connection's. */
static __always_inline void tls__forget_guess(struct tls_conn *t)
{
	__u64 socket = t->socket, *who;

	if (!t->guessed)
		return;
	t->guessed = 0;
	who = bpf_map_lookup_elem(&tls_sockets, &socket);
	if (who && *who == t->conn.cookie)
		bpf_map_delete_elem(&tls_sockets, &socket);
}

/* ---- bytes */

static __always_inline bool tls__wanted(struct tls_conn *t, struct wire_acct *a)
{
	if (t->conn.filter == FILTER_UNDECIDED)
		tls__decide(t);
	if (t->conn.filter == FILTER_UNDECIDED) {
		a->reason[REASON_OWNER]++;
		t->conn.fresh = 0; /* what is read later is not its first bytes */
	}
	return t->conn.filter == FILTER_PASS;
}

#define TLS_MOST 0x40000000ull /* bytes of a call; more than any library takes */

/* Text for the framers; conn NULL: there is none. */
struct tls_bytes {
	struct tls_conn *conn;
	struct tls_text text; /* at 0: it never was in memory */
	__u32 n;
	__u32 dir;
};

/* Bytes that could not be read leave a gap, or the framers would join what was around them. */
static __always_inline void tls__miss(struct tls_bytes *b)
{
	__sync_fetch_and_add(&b->conn->missed[b->dir & 1], b->n);
	b->conn->conn.fresh = 0;
}

static __always_inline void tls__tell_missed(struct tls_conn *t, struct wire_acct *a, __u32 dir)
{
	__u64 n = t->missed[dir];

	if (!n)
		return;
	__sync_fetch_and_add(&t->missed[dir], -n);
	conn__missed(&t->conn, a, dir, n < TLS_MOST ? (__u32)n : TLS_MOST, REASON_GAP);
}

/* The lock is for programs that read or write one connection in two threads. */
static __always_inline void tls__feed(struct tls_bytes *b)
{
	__u32 lane, dir = b->dir & 1, epoch = *(volatile __u32 *)&attach_epoch;
	struct lane_scratch *scratch;
	struct wire_acct *a;
	struct conn *c = &b->conn->conn;

	if (c->proto == PROTO_OTHER || c->filter == FILTER_STOP)
		return;
	a = lane__claim(&lane);
	if (!a) {
		tls__miss(b);
		return;
	}
	if (c->attach_epoch != epoch)
		conn__start_over(c, epoch);
	scratch = scratch__of(lane);
	if (scratch && tls__wanted(b->conn, a)) {
		if (conn__lock(c, dir, 0)) {
			tls__tell_missed(b->conn, a, dir);
			scratch->off = 0;
			scratch->len = b->n;
			scratch->seq = c->next_seq[dir];
			c->next_seq[dir] += b->n;
			if (b->text.at)
				feed__segment(&b->text, c, a, scratch, dir);
			else
				conn__missed(c, a, dir, b->n, REASON_GAP);
			if (targ_tree && scratch->n_events)
				cause__hear(a, c, scratch, 1);
			if (targ_hops && hops__told(scratch))
				hops__hear(scratch, c, NULL, HOP_NO_SEQ);
			conn__unlock(c, dir);
			if (targ_tree && dir == IN)
				cause__read(c);
		} else {
			a->reason[REASON_BUSY]++;
			tls__miss(b);
		}
	}
	lane__release(a);
}

/* A write begins: of its text, what no write before it has brought. */
static __always_inline void tls__written(const struct tls_call *call, struct tls_conn *t,
					 struct tls_bytes *b)
{
	__u64 ahead, n = call->size;

	if (t->conn.attach_epoch != *(volatile __u32 *)&attach_epoch)
		t->ahead = 0; /* what was taken of it since was not seen */
	ahead = t->ahead;
	if (!call->text.at || n <= ahead)
		return;
	if (t->conn.filter == FILTER_UNDECIDED)
		tls__decide(t);
	if (t->conn.filter != FILTER_UNDECIDED) /* it will be passed over, and may come again */
		t->ahead = n;
	b->conn = t;
	b->text = call->text;
	b->text.at += ahead;
	b->n = (__u32)(n - ahead);
	b->dir = OUT;
}

/* The library took n bytes. */
static __always_inline void tls__taken(struct tls_conn *t, __u64 n)
{
	t->ahead = t->ahead > n ? t->ahead - n : 0;
}

/* ---- calls */

/* Bytes that the call moved; 0: none, an error, or "try again". */
static __always_inline __u64 tls__result(const struct tls_call *call, struct pt_regs *ctx,
					 __u64 cookie)
{
	__s64 rc = PT_REGS_RC(ctx);
	__u64 n = 0;

	if (!TLS_COOKIE_WIDE(cookie) || TLS_COOKIE_RESULT(cookie) == TLS_STORES)
		rc = (__s32)rc;
	if (rc <= 0)
		return 0;
	if (TLS_COOKIE_RESULT(cookie) == TLS_RETURNS)
		n = (__u64)rc;
	else if (bpf_probe_read_user(&n, sizeof(n), (const void *)call->done))
		return 0;
	return n < TLS_MOST ? n : 0;
}

/*
 * Is the call that the thread is in still under way, and this one part of it? Stacks grow down. At
 * the same place it is the same call, if it came by a jump or hit the probe of another file that is
 * this one, too; else the return of the first was not seen.
 */
static __always_inline bool call__nested(const struct tls_call *call, __u64 sp, __u32 site)
{
	if (!call->active || call->epoch != *(volatile __u32 *)&attach_epoch)
		return false;
	return sp < call->sp || (sp == call->sp && site != call->site);
}

/*
 * A connection whose socket is not known, in a thread that has just read a TLS socket which is
 * nobody's yet: programs that carry the bytes themselves do that before they call.
 */
static __always_inline void call__guess(struct tls_call *call, struct tls_conn *t)
{
	__u64 socket = call->last_socket, number = t->conn.cookie;

	if (t->socket || !socket)
		return;
	call->last_socket = 0;
	if (bpf_map_update_elem(&tls_sockets, &socket, &number, BPF_ANY))
		TLS_COUNT(sockets_lost);
	t->guessed = 1;
	TLS_COUNT(guessed);
	tls__bind(t, socket, call->last_local, call->last_remote);
}

/* The compiler would choose between the registers by their place in *ctx, which may not move. */
#define KEEP(var) asm volatile("" : "+r"(var))

/* True: the return is to be seen. */
static __always_inline bool tls__enter(struct pt_regs *ctx, __u64 cookie, struct tls_bytes *b)
{
	__u64 object = PT_REGS_PARM1(ctx), buffer = PT_REGS_PARM2(ctx), size = PT_REGS_PARM3(ctx),
	      done = PT_REGS_PARM4(ctx), sp = PT_REGS_SP(ctx);
	__u32 role = TLS_COOKIE_ROLE(cookie), site = TLS_COOKIE_SITE(cookie);
	struct tls_call *call;
	struct tls_conn *t;

	KEEP(object);
	KEEP(buffer);
	KEEP(size);
	KEEP(done);
	if (role == TLS_CHECK)
		return true;
	call = bpf_task_storage_get(&tls_calls, bpf_get_current_task_btf(), NULL,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!call) {
		TLS_COUNT(calls_lost);
		return false;
	}
	if (call__nested(call, sp, site))
		return false;
	if (call->active && call->epoch == *(volatile __u32 *)&attach_epoch)
		TLS_COUNT(calls_lost);
	if (!TLS_COOKIE_WIDE(cookie))
		size = (__s32)size < 0 ? 0 : (__u32)size;
	call->sp = sp;
	call->size = size < TLS_MOST ? size : 0;
	call->done = done;
	call->site = site;
	call->epoch = *(volatile __u32 *)&attach_epoch;
	call->role = (__u8)role;
	call->active = 1;
	call->text.at = buffer;
	call->key.object = object;
	call->key.tgid = bpf_get_current_pid_tgid() >> 32;
	t = tls__conn(&call->key);
	if (!t) { /* its end will not be told */
		call->active = 0;
		return false;
	}
	if (role == TLS_HANDSHAKE && !t->conn.proto && !t->conn.tries)
		t->conn.fresh = 1;
	call__guess(call, t);
	if (role == TLS_WRITE)
		tls__written(call, t, b);
	return true;
}

static __always_inline void tls__leave(struct pt_regs *ctx, __u64 cookie, struct tls_bytes *b)
{
	struct tls_call *call;
	struct tls_conn *t;
	__u64 n;

	if (TLS_COOKIE_ROLE(cookie) == TLS_CHECK)
		return;
	call = bpf_task_storage_get(&tls_calls, bpf_get_current_task_btf(), NULL, 0);
	if (!call || !call->active || call->site != TLS_COOKIE_SITE(cookie) ||
	    ARCH_LEFT(call->sp) != PT_REGS_SP(ctx))
		return;
	call->active = 0;
	n = tls__result(call, ctx, cookie);
	if (!n || call->role == TLS_HANDSHAKE)
		return;
	TLS_COUNT(calls);
	t = bpf_map_lookup_elem(&tls_conns, &call->key);
	if (!t)
		return;
	if (call->role == TLS_WRITE) {
		tls__taken(t, n);
		return;
	}
	b->conn = t;
	b->text = call->text;
	b->n = (__u32)n;
	b->dir = call->role == TLS_READ ? IN : OUT;
	if (call->role == TLS_SEND_FILE)
		b->text.at = 0;
}

/* ---- programs */

NO_PROGRAMS(tls_session);
NO_PROGRAMS(tls_enter);
NO_PROGRAMS(tls_return);
NO_PROGRAMS(tls_end);

/* One program for both ends of a call; at the entry, 1 says that the return is of no interest. */
SEC("kprobe")
int tls_session(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct tls_bytes b = {};
	bool follow = true;

	STACK_OF_TASK(tls_session, ctx);
	if (PT_REGS_IP(ctx) == bpf_get_func_ip(ctx))
		follow = tls__enter(ctx, cookie, &b);
	else
		tls__leave(ctx, cookie, &b);
	if (b.conn)
		tls__feed(&b);
	return !follow;
}

SEC("kprobe")
int tls_enter(struct pt_regs *ctx)
{
	struct tls_bytes b = {};

	STACK_OF_TASK(tls_enter, ctx);
	tls__enter(ctx, bpf_get_attach_cookie(ctx), &b);
	if (b.conn)
		tls__feed(&b);
	return 0;
}

SEC("kprobe")
int tls_return(struct pt_regs *ctx)
{
	struct tls_bytes b = {};

	STACK_OF_TASK(tls_return, ctx);
	tls__leave(ctx, bpf_get_attach_cookie(ctx), &b);
	if (b.conn)
		tls__feed(&b);
	return 0;
}

/* Is anything in flight that the connection's end ends? */
static __always_inline bool tls__is_idle(const struct conn *c)
{
	__u64 any = 0;
	__u32 i;

	if (c->proto < PROTO_NATS)
		return true;
	if (c->flights)
		return false;
	if (c->proto == PROTO_HTTP && (c->stream.http.dir[IN].state == HTTP_S_CLOSE ||
				       c->stream.http.dir[OUT].state == HTTP_S_CLOSE))
		return false;
	if (proto__is_stream(c->proto)) {
		for (i = 0; i < FIFO_FIRST; i++)
			any |= c->stream.first[i].word;
	} else if (c->proto == PROTO_NATS) {
		for (i = 0; i < FLIGHT_WAYS; i++)
			any |= c->first[IN].slot[i].id | c->first[OUT].slot[i].id;
		any |= c->overflow;
	}
	return !any;
}

static __noinline int tls__ends(const struct tls_key *key)
{
	struct tls_conn *t = bpf_map_lookup_elem(&tls_conns, key);
	struct tls_key ended = {.tgid = TLS_ENDED};

	if (!t)
		return 0;
	if (!t->socket)
		TLS_COUNT(no_socket);
	tls__forget_guess(t);
	ended.object = t->conn.cookie;
	if (!tls__is_idle(&t->conn) && bpf_map_update_elem(&tls_conns, &ended, t, BPF_ANY))
		TLS_COUNT(ends_lost);
	bpf_map_delete_elem(&tls_conns, key);
	return 0;
}

/* SSL_clear is also how a handshake begins, within the call that made it necessary. */
SEC("kprobe")
int tls_end(struct pt_regs *ctx)
{
	struct tls_key key = {.object = PT_REGS_PARM1(ctx),
			      .tgid = bpf_get_current_pid_tgid() >> 32};
	struct tls_call *call =
		bpf_task_storage_get(&tls_calls, bpf_get_current_task_btf(), NULL, 0);

	STACK_OF_TASK(tls_end, ctx);
	if (call && call__nested(call, PT_REGS_SP(ctx), 0) && call->key.object == key.object)
		return 0;
	tls__ends(&key);
	return 0;
}

/* ---- sockets */

/* The current thread moved bytes on this socket. */
static __always_inline void tls__moved(struct sock *sk, bool read)
{
	struct tls_call *call =
		bpf_task_storage_get(&tls_calls, bpf_get_current_task_btf(), NULL, 0);
	__u16 local, remote;
	struct tls_conn *t;
	struct conn *c;
	__u64 socket;

	if (!call || sk->sk_protocol != IPPROTO_TCP)
		return;
	socket = bpf_get_socket_cookie(sk);
	local = sk->__sk_common.skc_num;
	remote = bpf_ntohs(sk->__sk_common.skc_dport);
	if (!call->active || call->epoch != *(volatile __u32 *)&attach_epoch) {
		if (!read)
			return;
		c = bpf_sk_storage_get(&conns, sk, 0, 0);
		if (!c || c->proto != PROTO_TLS || c->plain)
			return;
		if (bpf_map_lookup_elem(&tls_sockets, &socket)) {
			c->plain = 1;
			return;
		}
		call->last_socket = socket;
		call->last_local = local;
		call->last_remote = remote;
		return;
	}
	t = bpf_map_lookup_elem(&tls_conns, &call->key);
	if (!t || (t->socket == socket && !t->guessed))
		return;
	tls__forget_guess(t);
	tls__bind(t, socket, local, remote);
	c = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (c)
		c->plain = 1;
	else
		TLS_COUNT(sockets_lost);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(tls_send, struct sock *sk, int ret, int flags)
{
	if (ret > 0)
		tls__moved(sk, false);
	return 0;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tls_recv, struct sock *sk)
{
	tls__moved(sk, true);
	return 0;
}

/* ---- processes */

static long tls__of_process(struct bpf_map *map, const void *key, void *value, void *ctx)
{
	struct tls_key k = *(const struct tls_key *)key;

	if (k.tgid == *(__u32 *)ctx)
		tls__ends(&k);
	return 0;
}

/* Its memory is gone, and with it all objects. */
static __always_inline void tls__process_ends(__u32 tgid)
{
	if (!bpf_map_delete_elem(&tls_processes, &tgid))
		bpf_for_each_map_elem(&tls_conns, tls__of_process, &tgid, 0);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(tls_exec, struct task_struct *task)
{
	__u32 tgid = task->tgid;

	tls__process_ends(tgid);
	if (bpf_map_push_elem(&tls_execs, &tgid, BPF_ANY))
		TLS_COUNT(execs_lost);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(tls_exit, struct task_struct *task)
{
	if (!task->signal->live.counter)
		tls__process_ends(task->tgid);
	return 0;
}

__u32 tls_reasons[2] = {REASON_TIMEOUT, REASON_CLOSED};

/* A function of its own: its stack is then not under that of all who are told. */
static __noinline int tls__expire(struct conn *c, struct wire_acct *a, struct lane_scratch *s,
				  __u64 ended)
{
	struct expire_ctx e = {.conn = c, .acct = a, .scratch = s};
	__u64 ring = tls__ring(c->cookie, 0), odd = tls__ring(c->cookie, 1);

	e.before = expire__ago(targ_timeout_ns) | (0 - ended);
	e.reason = *(volatile __u32 *)&tls_reasons[ended & 1];
	if (c->flights && proto__is_stream(c->proto)) {
		e.ring = bpf_map_lookup_elem(&tls_rings, &ring);
		e.odd = bpf_map_lookup_elem(&tls_rings, &odd);
	} else if (c->flights) {
		e.flights = bpf_map_lookup_elem(&tls_flights, &c->cookie);
	}
	expire__conn(&e);
	if (e.reason == REASON_CLOSED)
		expire__overflowed(&e);
	return 0;
}

/* Read by userspace from time to time, for connections and for those that ended. */
SEC("iter/bpf_map_elem")
int tls_sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	struct tls_key *at = ctx->key, key;
	struct lane_scratch *s;
	struct wire_acct *a;
	struct tls_conn *t;
	__u64 ended, number;
	__u32 lane;

	if (!at)
		return 0;
	key = *at;
	/* Without a branch: the verifier is to go through what follows once. */
	ended = key.tgid >> 63;
	t = bpf_map_lookup_elem(&tls_conns, &key);
	if (!t || t->conn.proto < PROTO_NATS)
		return 0;
	a = lane__claim(&lane);
	if (!a) /* the next sweep will do */
		return 0;
	lane |= (__u32)(ended - 1); /* none, where it has not ended */
	s = scratch__of(lane);
	tls__expire(&t->conn, a, s, ended);
	/* Or the lane's next user hears them, of its own connection. */
	if (targ_tree && s && s->n_events)
		cause__hear(a, &t->conn, s, 0);
	if (targ_hops && s && hops__told(s))
		hops__hear(s, &t->conn, NULL, HOP_NO_SEQ);
	lane__release(a);
	if (ended) {
		number = tls__ring(key.object, 0);
		bpf_map_delete_elem(&tls_rings, &number);
		number = tls__ring(key.object, 1);
		bpf_map_delete_elem(&tls_rings, &number);
		bpf_map_delete_elem(&tls_flights, &key.object);
		bpf_map_delete_elem(&tls_conns, &key);
	}
	return 0;
}
