/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * NATS framer, step 1: one unit. A unit is a control line and, for verbs with headers, the first
 * bytes of the header block (they hold the status). It is read from a window of contiguous bytes;
 * include/proto/nats_stream.h moves the window along a TCP stream.
 *
 * Compiled twice, for BPF and for the host: no I/O, no allocation, all state in memory that the
 * caller owns. State lives in memory and not in registers because the verifier then sees the same
 * state at every turn of a loop and stops exploring.
 *
 * Protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol and, for routes and
 * leaf nodes, the argument rules of nats-server's parser (server/parser.go, client.go, route.go,
 * leafnode.go). A line ends at LF; bytes up to 0x20 separate tokens; the last token of a message
 * verb is the payload's size, whatever stands between.
 */
#ifndef HOPSCOPE_PROTO_NATS_H
#define HOPSCOPE_PROTO_NATS_H

#ifdef __bpf__
#include "vmlinux.h"
/* Global: the verifier looks at it once, not at every call. */
#define NATS_GLOBAL __attribute__((noinline))
#else
#include <linux/types.h>
#define NATS_GLOBAL static __attribute__((unused))
#endif
#define NATS_INLINE static inline __attribute__((always_inline, unused))

#define NATS_LINE_MAX	 4096	     /* nats-server's default max_control_line */
#define NATS_PAYLOAD_MAX (64u << 20) /* nats-server's upper bound for max_payload */
#define NATS_STATUS_LEN	 12	     /* "NATS/1.0 503" */
#define NATS_WIN_PAD	 8	     /* readable bytes in front of the first one */
#define NATS_WIN_MASK	 8191u
#define NATS_WIN_SIZE	 (NATS_WIN_MASK + 1 + 64)
#define NATS_TOKENS	 32

enum nats_verb {
	NATS_NONE = 0,
	NATS_PUB = 1,
	NATS_HPUB = 2,
	NATS_MSG = 3,
	NATS_HMSG = 4,
	NATS_RMSG = 5,
	NATS_LMSG = 6,
	NATS_INFO = 7,
	NATS_CONNECT = 8,
	NATS_SUB = 9,
	NATS_UNSUB = 10,
	NATS_PING = 11,
	NATS_PONG = 12,
	NATS_PLUS_OK = 13,
	NATS_MINUS_ERR = 14,
	NATS_RSUB = 15,	   /* RS+ RS- : routes and gateways */
	NATS_LSUB = 16,	   /* LS+ LS- : leaf nodes */
	NATS_ACCOUNT = 17, /* A+ A- : routes and gateways */
	NATS_VERB_MAX
};

#define NATS_IS_MESSAGE(verb) ((verb) >= NATS_PUB && (verb) <= NATS_LMSG)

/* What speaks on a connection: HMSG has the same arguments in another order on each. */
enum nats_kind {
	NATS_KIND_UNKNOWN = 0,
	NATS_KIND_CLIENT = 1,
	NATS_KIND_ROUTE = 2,
	NATS_KIND_LEAF = 3,
};

/* A global function's argument must point to something whose size its type tells. */
struct nats_window {
	__u8 bytes[NATS_WIN_SIZE];
};

enum nats_result {
	NATS_OK = 1,   /* unit complete */
	NATS_MORE = 2, /* the window ends inside the unit */
	NATS_LINE = 3, /* a line without arguments we need, whose end is not in the window */
	NATS_BAD = 4,  /* not the protocol */
};

/* A unit as read, and the scanner's memory. Positions are window positions. */
struct nats_unit {
	/* in */
	__u32 begin;
	__u32 end; /* first invalid byte of the window */
	/* out */
	__u32 len;     /* control line, CR LF included */
	__u32 payload; /* bytes behind the line, headers included, closing CR LF not */
	__u32 header;  /* of which header bytes */
	__u32 subject;
	__u32 subject_len;
	__u32 reply;
	__u32 reply_len; /* 0: none */
	__u16 status;	 /* of a header block "NATS/1.0 NNN", else 0 */
	__u8 verb;
	__u8 kind;	/* what this verb says of the connection, or unknown */
	__u8 ambiguous; /* HMSG on a connection of unknown kind: sizes are sure, names are not */
	__u8 pad[3];
	/* scanner */
	__u32 tokens;
	__u32 start; /* of the token being read */
	__u32 stop;  /* behind the LF, 0: not found */
	__u16 from[NATS_TOKENS];
	__u16 to[NATS_TOKENS];
};

/* Memory that the verifier must take as unknown, and the compiler must not keep in registers. */
#define NATS_GET(x)    (*(volatile __typeof__(x) *)&(x))
#define NATS_PUT(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * A window position. Its mask stays, whatever the compiler knows of it: Linux 6.1's verifier
 * forgets what it had learnt when a register goes through the stack.
 */
NATS_INLINE __u32 nats__at(__u32 at)
{
#ifdef __bpf__
	asm volatile("" : "+r"(at));
#endif
	return at & NATS_WIN_MASK;
}

NATS_INLINE __u64 nats__load64(const __u8 *win, __u32 at)
{
#ifdef __bpf__
	return *(const __u64 *)(win + nats__at(at));
#else
	__u64 v;

	__builtin_memcpy(&v, win + nats__at(at), sizeof(v));
	return v;
#endif
}

NATS_INLINE __u8 nats__byte(const __u8 *win, __u32 at)
{
	return win[nats__at(at)];
}

#define NATS_ONES  0x0101010101010101ULL
#define NATS_HIGHS 0x8080808080808080ULL

/* 0x80 in every byte of x that is at most 0x20; exact for each byte (no borrow between bytes). */
NATS_INLINE __u64 nats__blanks(__u64 x)
{
	return ~(((x & ~NATS_HIGHS) + NATS_ONES * (0x7f - 0x20)) | x) & NATS_HIGHS;
}

/* 0x80 in every byte of x that is 0; exact too. */
NATS_INLINE __u64 nats__zeros(__u64 x)
{
	return ~(((x & ~NATS_HIGHS) + ~NATS_HIGHS) | x) & NATS_HIGHS;
}

/* Byte number of the lowest bit of a mask of 0x80s. BPF before v4 has no ctz instruction. */
NATS_INLINE __u32 nats__first(__u64 mask)
{
#ifdef __bpf__
	return (__u32)(((((mask & -mask) - 1) & NATS_ONES) * NATS_ONES) >> 56) - 1;
#else
	return (__u32)__builtin_ctzll(mask) >> 3;
#endif
}

/* Where the n-th token is kept: the first 30, then the last two in turn (sizes come last). */
NATS_INLINE __u32 nats__slot(__u32 n)
{
	return n < NATS_TOKENS - 2 ? n : NATS_TOKENS - 2 + (n & 1);
}

/* A blank at p ends the token before it, if there is one. */
NATS_INLINE void nats__blank_at(struct nats_unit *u, __u32 p)
{
	__u32 n = NATS_GET(u->tokens), from = NATS_GET(u->start), i;

	if (p > from) {
		i = nats__slot(n) & (NATS_TOKENS - 1);
		u->from[i] = (__u16)from;
		u->to[i] = (__u16)p;
		NATS_PUT(u->tokens, n + 1);
	}
	NATS_PUT(u->start, p + 1);
}

/* Reads 64 bytes at `base`. 1: stop is set, or the window's end was passed. */
NATS_GLOBAL int nats__scan64(const struct nats_window *window, struct nats_unit *u, __u32 base)
{
	const __u8 *win;
	__u32 i, k, p;
	__u64 m;

	if (!window || !u)
		return 1;
	win = window->bytes;

	for (i = 0; i < 8; i++) {
		m = nats__blanks(nats__load64(win, (base & NATS_WIN_MASK) + 8 * i));
		for (k = 0; k < 8 && m; k++) {
			p = base + 8 * i + nats__first(m);
			if (p >= u->end)
				return 1;
			nats__blank_at(u, p);
			if (nats__byte(win, p) == '\n') {
				NATS_PUT(u->stop, p + 1);
				return 1;
			}
			m &= m - 1;
		}
		if (base + 8 * i + 8 >= u->end)
			return 1;
	}
	return 0;
}

struct nats_scan_ctx {
	const __u8 *win;
	struct nats_unit *u;
};

#ifdef __bpf__
static long nats__scan_more(__u32 i, void *ctx)
{
	struct nats_scan_ctx *c = ctx;

	return nats__scan64((const struct nats_window *)c->win, c->u,
			    NATS_GET(c->u->begin) + 128 + 64 * i) != 0;
}
#endif

/* Splits the line into tokens: 128 bytes straight, longer lines in a loop. */
NATS_INLINE void nats__scan(const __u8 *win, struct nats_unit *u)
{
	u->tokens = 0;
	u->stop = 0;
	u->start = u->begin;
	if (nats__scan64((const struct nats_window *)win, u, u->begin) ||
	    nats__scan64((const struct nats_window *)win, u, u->begin + 64))
		return;
#ifdef __bpf__
	struct nats_scan_ctx ctx = {win, u};

	bpf_loop((NATS_LINE_MAX + 64) / 64, nats__scan_more, &ctx, 0);
#else
	for (__u32 i = 0; i < (NATS_LINE_MAX + 64) / 64; i++) {
		if (nats__scan64((const struct nats_window *)win, u, u->begin + 128 + 64 * i))
			return;
	}
#endif
}

/* Constants for comparison of up to 8 lower-cased bytes as one number (little-endian machines). */
#define NATS_W2(a, b)	    ((__u64)(a) | (__u64)(b) << 8)
#define NATS_W3(a, b, c)    (NATS_W2(a, b) | (__u64)(c) << 16)
#define NATS_W4(a, b, c, d) (NATS_W3(a, b, c) | (__u64)(d) << 24)

/* `w` holds a token's bytes, zero-filled. Setting 0x20 folds case and leaves '+' and '-' alone. */
NATS_INLINE __u8 nats__verb(__u64 w, __u32 len)
{
	if (len < 2 || len > 7)
		return NATS_NONE;
	w |= (NATS_ONES * 0x20) >> (8 * (8 - len));
	switch (w) {
	case NATS_W3('p', 'u', 'b'): return NATS_PUB;
	case NATS_W4('h', 'p', 'u', 'b'): return NATS_HPUB;
	case NATS_W3('m', 's', 'g'): return NATS_MSG;
	case NATS_W4('h', 'm', 's', 'g'): return NATS_HMSG;
	case NATS_W4('r', 'm', 's', 'g'): return NATS_RMSG;
	case NATS_W4('l', 'm', 's', 'g'): return NATS_LMSG;
	case NATS_W4('i', 'n', 'f', 'o'): return NATS_INFO;
	case NATS_W4('c', 'o', 'n', 'n') | NATS_W3('e', 'c', 't') << 32: return NATS_CONNECT;
	case NATS_W3('s', 'u', 'b'): return NATS_SUB;
	case NATS_W4('u', 'n', 's', 'u') | (__u64)'b' << 32: return NATS_UNSUB;
	case NATS_W4('p', 'i', 'n', 'g'): return NATS_PING;
	case NATS_W4('p', 'o', 'n', 'g'): return NATS_PONG;
	case NATS_W3('+', 'o', 'k'): return NATS_PLUS_OK;
	case NATS_W4('-', 'e', 'r', 'r'): return NATS_MINUS_ERR;
	case NATS_W3('r', 's', '+'):
	case NATS_W3('r', 's', '-'): return NATS_RSUB;
	case NATS_W3('l', 's', '+'):
	case NATS_W3('l', 's', '-'): return NATS_LSUB;
	case NATS_W2('a', '+'):
	case NATS_W2('a', '-'): return NATS_ACCOUNT;
	}
	return NATS_NONE;
}

/* The verb at `at`, where `len` bytes are valid; the token ends at a blank among them. */
NATS_INLINE __u8 nats__verb_at(__u64 w, __u32 len)
{
	__u64 m = nats__blanks(w);
	__u32 n;

	if (len < 8)
		m &= ((__u64)1 << (8 * len)) - 1;
	if (!m)
		return NATS_NONE;
	n = nats__first(m) & 7;
	return nats__verb(w & (((__u64)1 << (8 * n)) - 1), n);
}

/*
 * Decimal number in token t, at most NATS_PAYLOAD_MAX; else -1. Eight digits at once:
 * https://johnnylee-sde.github.io/Fast-numeric-string-to-int/ describes the multiplications.
 */
NATS_INLINE __s64 nats__number(const __u8 *win, const struct nats_unit *u, __u32 t)
{
	__u32 i = t & (NATS_TOKENS - 1), to = u->to[i], len = to - u->from[i];
	__u64 x, keep;

	if (len == 9) { /* nats-server takes nine digits; ours is a leading zero or too much */
		if (nats__byte(win, u->from[i]) != '0')
			return -1;
		len = 8;
	}
	if (len < 1 || len > 8)
		return -1;
	x = nats__load64(win, to - 8);
	keep = ~(__u64)0 << (8 * (8 - len));
	x = (x & keep) | (NATS_ONES * '0' & ~keep);
	if ((x & NATS_ONES * 0xf0) != NATS_ONES * 0x30 ||
	    ((x + NATS_ONES * 6) & NATS_ONES * 0xf0) != NATS_ONES * 0x30)
		return -1;
	x = ((x & NATS_ONES * 0x0f) * 2561) >> 8;
	x = ((x & 0x00ff00ff00ff00ffULL) * 6553601) >> 16;
	x = ((x & 0x0000ffff0000ffffULL) * 42949672960001ULL) >> 32;
	return x > NATS_PAYLOAD_MAX ? -1 : (__s64)x;
}

NATS_INLINE void nats__set_subject(struct nats_unit *u, __u32 t)
{
	t &= NATS_TOKENS - 1;
	u->subject = u->from[t];
	u->subject_len = (__u32)(u->to[t] - u->from[t]);
}

NATS_INLINE void nats__set_reply(struct nats_unit *u, __u32 t)
{
	t &= NATS_TOKENS - 1;
	u->reply = u->from[t];
	u->reply_len = (__u32)(u->to[t] - u->from[t]);
}

/* Token t when it is one of the two that announce queue groups: '+' with a reply, '|' without. */
NATS_INLINE __u8 nats__indicator(const __u8 *win, const struct nats_unit *u, __u32 t)
{
	__u8 c;

	t &= NATS_TOKENS - 1;
	c = nats__byte(win, u->from[t]);
	return u->to[t] - u->from[t] == 1 && (c == '+' || c == '|') ? c : 0;
}

/* Is there a dot in the first 16 bytes of token t? */
NATS_INLINE int nats__dotted(const __u8 *win, const struct nats_unit *u, __u32 t)
{
	__u32 at = u->from[t & (NATS_TOKENS - 1)], len = u->to[t & (NATS_TOKENS - 1)] - at;
	__u64 m = nats__zeros(nats__load64(win, at) ^ NATS_ONES * '.');

	if (len < 8)
		return (m & (((__u64)1 << (8 * len)) - 1)) != 0;
	if (m)
		return 1;
	m = nats__zeros(nats__load64(win, at + 8) ^ NATS_ONES * '.');
	if (len < 16)
		m &= ((__u64)1 << (8 * (len - 8))) - 1;
	return m != 0;
}

/*
 * Routed messages: FIRST.. subject [reply] SIZES, or subject + reply queues.. SIZES, or
 * subject | queues.. SIZES. `first` is the subject's token, `args` the number of tokens from there
 * to the sizes. False where nats-server would refuse.
 */
NATS_INLINE int nats__routed(const __u8 *win, struct nats_unit *u, __u32 first, __u32 args)
{
	__u8 c;

	nats__set_subject(u, first);
	if (args == 1)
		return 1;
	if (args == 2) {
		nats__set_reply(u, first + 1);
		return 1;
	}
	c = nats__indicator(win, u, first + 1);
	if (c == '+')
		nats__set_reply(u, first + 2);
	return c != 0;
}

/*
 * A route names the account in front of the subject, unless it is one account's own: since 2.10
 * nats-server makes one for the system account. Nothing says which it is when two names stand
 * there; then a first one with a dot (in its first 16 bytes) is a subject.
 */
NATS_INLINE int nats__from_route(const __u8 *win, struct nats_unit *u, __u32 first, __u32 args)
{
	int account = args > 1;

	if (args == 2)
		account = !nats__dotted(win, u, first);
	else if (args > 2)
		account = !nats__indicator(win, u, first + 1);
	if (account)
		return nats__routed(win, u, first + 1, args - 1);
	return nats__routed(win, u, first, args);
}

/* HMSG: client `subject sid [reply]`, route `[account] subject [reply]..`, leaf without account. */
NATS_INLINE int nats__hmsg(const __u8 *win, struct nats_unit *u, __u8 kind, __u32 args)
{
	if (kind == NATS_KIND_UNKNOWN && args >= 2) {
		/* Every client library numbers its subscriptions; an account is no number. */
		if (args <= 3 && nats__number(win, u, 2) >= 0)
			kind = NATS_KIND_CLIENT;
		else
			u->ambiguous = 1;
	}
	if (kind == NATS_KIND_CLIENT) {
		nats__set_subject(u, 1);
		if (args == 3)
			nats__set_reply(u, 3);
		return args == 2 || args == 3;
	}
	if (kind == NATS_KIND_LEAF)
		return nats__routed(win, u, 1, args);
	return nats__from_route(win, u, 1, args);
}

/*
 * LMSG is a leaf node's message; on a route, one that came from a leaf node's cluster: the
 * cluster's name comes first and the size of a header block, which may be 0, before the total.
 */
NATS_INLINE int nats__has_origin(const __u8 *win, const struct nats_unit *u, __u32 tokens)
{
	return u->verb == NATS_LMSG && tokens > 4 && !nats__indicator(win, u, 2);
}

/* Arguments of a message verb. `args`: tokens between the verb and the sizes, one at least. */
NATS_INLINE int nats__arguments(const __u8 *win, struct nats_unit *u, __u8 kind, __u32 args,
				__u32 sizes)
{
	switch (u->verb) {
	case NATS_PUB:
	case NATS_HPUB:
		u->kind = NATS_KIND_CLIENT;
		nats__set_subject(u, 1);
		if (args == 2)
			nats__set_reply(u, 2);
		return args == 1 || args == 2;
	case NATS_MSG:
		u->kind = NATS_KIND_CLIENT;
		nats__set_subject(u, 1);
		if (args == 3)
			nats__set_reply(u, 3);
		return args == 2 || args == 3;
	case NATS_RMSG: u->kind = NATS_KIND_ROUTE; return nats__from_route(win, u, 1, args);
	case NATS_LMSG:
		u->kind = sizes == 2 ? NATS_KIND_ROUTE : NATS_KIND_LEAF;
		if (sizes == 2)
			return nats__from_route(win, u, 2, args - 1);
		return nats__routed(win, u, 1, args);
	}
	return nats__hmsg(win, u, kind, args);
}

/* The first bytes of every header block. */
#define NATS_HEADER_BLOCK (NATS_W4('N', 'A', 'T', 'S') | NATS_W4('/', '1', '.', '0') << 32)

/* "NATS/1.0 NNN" at `at`: NNN, else 0. */
NATS_INLINE __u16 nats__status(const __u8 *win, __u32 at)
{
	__u32 a, b, c;

	if (nats__load64(win, at) != NATS_HEADER_BLOCK || nats__byte(win, at + 8) != ' ')
		return 0;
	a = (__u32)nats__byte(win, at + 9) - '0';
	b = (__u32)nats__byte(win, at + 10) - '0';
	c = (__u32)nats__byte(win, at + 11) - '0';
	return a > 9 || b > 9 || c > 9 ? 0 : (__u16)(a * 100 + b * 10 + c);
}

/* Sizes, arguments and status of a message verb whose line is complete. */
NATS_INLINE int nats__message(const __u8 *win, struct nats_unit *u, __u8 kind)
{
	__u32 n = NATS_GET(u->tokens), sizes = 1;
	__s64 total, header = 0;

	if (u->verb == NATS_HPUB || u->verb == NATS_HMSG || nats__has_origin(win, u, n))
		sizes = 2;
	if (n < 2 + sizes)
		return NATS_BAD;
	total = nats__number(win, u, nats__slot(n - 1));
	if (sizes == 2)
		header = nats__number(win, u, nats__slot(n - 2));
	if (total < 0 || header < 0 || header > total)
		return NATS_BAD;
	if (!nats__arguments(win, u, kind, n - 1 - sizes, sizes))
		return NATS_BAD;
	u->payload = (__u32)total;
	u->header = (__u32)header;
	if (header >= NATS_STATUS_LEN) {
		if (u->stop + NATS_STATUS_LEN > u->end)
			return NATS_MORE;
		u->status = nats__status(win, u->stop);
	}
	return NATS_OK;
}

/* What another verb says of the connection. SUB says nothing: it is a word that stands in logs. */
NATS_INLINE __u8 nats__kind_of(__u8 verb)
{
	switch (verb) {
	case NATS_RSUB: return NATS_KIND_ROUTE;
	case NATS_LSUB: return NATS_KIND_LEAF;
	}
	return NATS_KIND_UNKNOWN;
}

/*
 * Reads the unit at u->begin of the window; bytes from u->end on are not valid (but readable).
 * `kind` is what is known of the connection. Returns an enum nats_result; on NATS_OK all of the
 * "out" fields are set, on NATS_LINE verb and kind.
 */
NATS_GLOBAL int nats__unit(const struct nats_window *window, struct nats_unit *u, __u8 kind)
{
	const __u8 *win;
	__u32 have;
	__u64 head;

	if (!window || !u)
		return NATS_BAD;
	win = window->bytes;
	have = u->end - u->begin;
	head = nats__load64(win, u->begin);
	u->payload = u->header = u->len = 0;
	u->subject = u->subject_len = u->reply = u->reply_len = 0;
	u->status = 0;
	u->ambiguous = 0;
	u->verb = nats__verb_at(head, have);
	if (u->verb == NATS_NONE)
		return have >= 8 || nats__blanks(head) << (8 * (7 - have)) << 8 ? NATS_BAD
										: NATS_MORE;
	u->kind = nats__kind_of(u->verb);
	nats__scan(win, u);
	if (!NATS_GET(u->stop)) {
		if (!NATS_IS_MESSAGE(u->verb))
			return NATS_LINE;
		/* The CR may be there and the LF not. */
		return have > NATS_LINE_MAX + 1 ? NATS_BAD : NATS_MORE;
	}
	u->len = NATS_GET(u->stop) - u->begin;
	if (!NATS_IS_MESSAGE(u->verb))
		return NATS_OK;
	return u->len > NATS_LINE_MAX + 2 ? NATS_BAD : nats__message(win, u, kind);
}

#endif
