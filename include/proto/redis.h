/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Redis framer, step 1: one element of RESP2 or RESP3, and the names of commands.
 * include/proto/redis_stream.h moves along a direction of a connection.
 *
 * Protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/. Streamed strings and
 * aggregates ("$?", "*?") were never implemented by a server and are refused.
 */
#ifndef HOPSCOPE_PROTO_REDIS_H
#define HOPSCOPE_PROTO_REDIS_H

#include "stream.h"

#define REDIS_NAME_MAX	 24 /* longest command name that is read; the longest known has 20 */
#define REDIS_SUB_MAX	 16
#define REDIS_BULK_MAX	 0x7fffffffu /* proto-max-bulk-len is 512 MB, and can be set higher */
#define REDIS_COUNT_MAX	 0x7fffffffu
#define REDIS_ARGS_MAX	 (1u << 20) /* redis: networking.c, processMultibulkBuffer() */
#define REDIS_HEADER_MAX 13	    /* "$2147483647\r\n" */

enum redis_class {
	REDIS_PLAIN = 0,
	REDIS_BLOCKING = 1, /* may wait for others before it answers */
	REDIS_PUBSUB = 2,   /* answers are pushes, any number of them */
	REDIS_MONITORS = 3, /* a stream of lines follows */
	REDIS_REPLICA = 4,  /* SYNC, PSYNC: from here on something else */
	REDIS_NO_ANSWER =
		5, /* CLIENT REPLY: which commands are answered is not known from here on */
};

enum redis_result { REDIS_OK = 1, REDIS_MORE = 2, REDIS_BAD = 3, REDIS_LINE = 4 };

/* A command's or push message's name: upper case, zero-filled. */
struct redis_name {
	__u64 word[REDIS_NAME_MAX / 8];
};

struct redis_sub {
	__u64 word[REDIS_SUB_MAX / 8];
};

/* An element as read; of a unit, what the hook needs to know. */
struct redis_unit {
	/* in */
	__u32 begin;
	__u32 end; /* first invalid byte of the window */
	/* out, of the element */
	__u32 len; /* of its header line */
	__u32 number;
	__u8 type; /* first character */
	__u8 null; /* $-1, *-1 */
	/* of the unit, for the hook */
	__u8 what;   /* enum redis_what */
	__u8 role;   /* enum redis_role */
	__u8 class;  /* of a command: enum redis_class */
	__u8 top;    /* type of the whole: '*' of a command, '+', '-', ..; 0: an inline command */
	__u8 error;  /* '-' or '!'; `name` is then the code, "WRONGTYPE" */
	__u8 push;   /* answers nothing; `name` is its kind, "MESSAGE" */
	__u8 queued; /* "+QUEUED": in a MULTI, not done yet */
	__u8 paired; /* a reply: `seq` is certain */
	__u8 pad[2];
	__u32 seq;  /* number of the command on its connection */
	__u32 args; /* elements */
	__u64 bytes;
	struct redis_name name;
	struct redis_sub sub; /* of "CONFIG GET" and the like the second word, else zero */
	/* of redis__command(): where the name is */
	__u32 name_at;
	__u32 name_len;
};

#define REDIS_CRLF ((__u16)STREAM_W4('\r', '\n', 0, 0))

#define REDIS_W STREAM_W8

/* Length of the number at `at`, up to its CR; 0: there is none within 11 bytes. */
STREAM_INLINE __u32 redis__number_len(const __u8 *win, __u32 at)
{
	__u64 m = stream__find(stream__load64(win, at), '\r');

	if (m)
		return stream__first(m);
	if (stream__byte(win, at + 8) == '\r')
		return 8;
	if (stream__byte(win, at + 9) == '\r')
		return 9;
	return stream__byte(win, at + 10) == '\r' ? 10 : 0;
}

STREAM_INLINE int redis__is_line(__u8 c)
{
	return c == '+' || c == '-' || c == ':' || c == '_' || c == '#' || c == ',' || c == '(';
}

STREAM_INLINE int redis__is_counted(__u8 c)
{
	return c == '$' || c == '=' || c == '!';
}

STREAM_INLINE int redis__is_aggregate(__u8 c)
{
	return c == '*' || c == '%' || c == '~' || c == '>' || c == '|';
}

/* Types that only RESP3 has. */
STREAM_INLINE int redis__is_resp3(__u8 c)
{
	return (redis__is_aggregate(c) && c != '*') || c == '=' || c == '!' || c == '_' ||
	       c == '#' || c == ',' || c == '(';
}

/*
 * Reads the header of the element at `begin`: type and number. REDIS_LINE: it is a line, up to its
 * LF, of which nothing is looked at here.
 */
STREAM_GLOBAL int redis__header(const struct stream_window *window, struct redis_unit *u)
{
	__u32 n, at, have, high = 0;
	const __u8 *win;
	__s64 low;

	if (!window || !u)
		return REDIS_BAD;
	win = window->bytes;
	at = u->begin;
	have = u->end - at;
	u->type = stream__byte(win, at);
	u->null = 0;
	u->number = 0;
	if (redis__is_line(u->type))
		return REDIS_LINE;
	if (!redis__is_counted(u->type) && !redis__is_aggregate(u->type))
		return REDIS_BAD;
	n = redis__number_len(win, at + 1);
	u->len = n + 3;
	if (n == 0 || n + 3 > have)
		return have < REDIS_HEADER_MAX && (have < 2 || stream__byte(win, at + 1) != '\r')
			       ? REDIS_MORE
			       : REDIS_BAD;
	if (stream__byte(win, at + n + 2) != '\n')
		return REDIS_BAD;
	if (n == 2 && stream__byte(win, at + 1) == '-') {
		u->null = 1;
		return stream__byte(win, at + 2) == '1' && (u->type == '$' || u->type == '*')
			       ? REDIS_OK
			       : REDIS_BAD;
	}
	if (n > 8) { /* two more digits in front */
		low = stream__digits(stream__load64(win, at + n - 15) & ~(__u64)0, n - 8);
		if (low < 0)
			return REDIS_BAD;
		high = (__u32)low;
	}
	low = stream__digits(stream__load64(win, at + n - 7), n > 8 ? 8 : n);
	if (low < 0 || high > 21)
		return REDIS_BAD;
	low += (__s64)high * 100000000;
	if (low > REDIS_BULK_MAX)
		return REDIS_BAD;
	u->number = (__u32)low;
	return REDIS_OK;
}

/*
 * The header of a string of 0 to 999 bytes, "$3\r\n", as the 8 bytes w that it begins with. Returns
 * its length, 0 if it is something else; *number: of the string's bytes.
 */
STREAM_INLINE __u32 redis__short(__u64 w, __u32 *number)
{
	__u32 a = (__u8)(w >> 8) - '0', b = (__u8)(w >> 16) - '0', c;

	if ((__u8)w != '$' || a > 9)
		return 0;
	if ((__u16)(w >> 16) == REDIS_CRLF) {
		*number = a;
		return 4;
	}
	if (b > 9)
		return 0;
	a = a * 10 + b;
	if ((__u16)(w >> 24) == REDIS_CRLF) {
		*number = a;
		return 5;
	}
	c = (__u8)(w >> 24) - '0';
	if (c > 9 || (__u16)(w >> 32) != REDIS_CRLF)
		return 0;
	*number = a * 10 + c;
	return 6;
}

/*
 * The command at `begin`, if it is whole in the window and plain: an array of 1 to 9 strings as
 * redis__short() reads them. Returns its bytes, 0 if it is something else, of which this says
 * nothing. Out: `number` of strings, name_at, name_len of the first one.
 */
STREAM_GLOBAL __u32 redis__command(const struct stream_window *window, struct redis_unit *u)
{
	__u32 at, end, i, n, head, len = 0;
	const __u8 *win;
	__u64 w;

	if (!window || !u)
		return 0;
	win = window->bytes;
	at = STREAM_GET(u->begin);
	end = STREAM_GET(u->end);
	w = stream__load64(win, at);
	n = (__u8)(w >> 8) - '0';
	if ((w & 0xffff00ff) != STREAM_W4('*', 0, '\r', '\n') || n - 1 > 8)
		return 0;
	u->number = n;
	at += 4;
	for (i = 0; i < 9; i++) {
		if (i >= n)
			break;
		head = redis__short(stream__load64(win, at), &len);
		if (!head)
			return 0;
		if (!i) {
			u->name_at = at + head;
			u->name_len = len;
		}
		at += head + len + 2;
		if (at > end || (__u16)stream__load64(win, at - 2) != REDIS_CRLF)
			return 0;
	}
	return at - u->begin;
}

/* a-z to A-Z, other bytes as they are. */
STREAM_INLINE __u64 redis__upper(__u64 w)
{
	__u64 x = w & ~STREAM_HIGHS;
	__u64 m = (x + STREAM_ONES * (0x80 - 'a')) & ~(x + STREAM_ONES * (0x80 - 'z' - 1)) & ~w &
		  STREAM_HIGHS;

	return w ^ (m >> 2);
}

/* 0x80 in bytes that are no printable ASCII characters, blanks included. */
STREAM_INLINE __u64 redis__odd(__u64 w)
{
	__u64 x = w & ~STREAM_HIGHS;

	return (w | ~(x + STREAM_ONES * (0x80 - 0x21)) | (x + STREAM_ONES)) & STREAM_HIGHS;
}

/* The n-th 8 bytes of the word of len bytes at `at`, in upper case and zero-filled; 0: unprintable.
 */
STREAM_INLINE __u64 redis__word(const __u8 *win, __u32 at, __u32 len, __u32 n)
{
	__u32 left = len > 8 * n ? len - 8 * n : 0;
	__u64 w, odd;

	if (!left)
		return 0;
	w = stream__load64(win, at + 8 * n);
	odd = stream__low(redis__odd(w), left < 8 ? left : 8);
	return odd ? 0 : redis__upper(stream__low(w, left < 8 ? left : 8));
}

/* Bytes up to the first that is not printable, at most REDIS_NAME_MAX: a line's first word. */
STREAM_INLINE __u32 redis__token_len(const __u8 *win, __u32 at, __u32 end)
{
	__u32 i, n = 0;
	__u64 odd;

	for (i = 0; i < REDIS_NAME_MAX / 8; i++) {
		odd = redis__odd(stream__load64(win, at + 8 * i));
		if (odd) {
			n += stream__first(odd);
			break;
		}
		n += 8;
	}
	return at + n > end ? end - at : n;
}

/* What a command means for the replies. */
STREAM_INLINE __u8 redis__class(const struct redis_name *name)
{
	__u64 b = name->word[1];

	if (!b) {
		switch (name->word[0]) {
		case REDIS_W('B', 'L', 'P', 'O', 'P', 0, 0, 0):
		case REDIS_W('B', 'R', 'P', 'O', 'P', 0, 0, 0):
		case REDIS_W('B', 'L', 'M', 'O', 'V', 'E', 0, 0):
		case REDIS_W('B', 'L', 'M', 'P', 'O', 'P', 0, 0):
		case REDIS_W('B', 'Z', 'M', 'P', 'O', 'P', 0, 0):
		case REDIS_W('B', 'Z', 'P', 'O', 'P', 'M', 'I', 'N'):
		case REDIS_W('B', 'Z', 'P', 'O', 'P', 'M', 'A', 'X'):
		case REDIS_W('W', 'A', 'I', 'T', 0, 0, 0, 0):
		case REDIS_W('W', 'A', 'I', 'T', 'A', 'O', 'F', 0): return REDIS_BLOCKING;
		case REDIS_W('M', 'O', 'N', 'I', 'T', 'O', 'R', 0): return REDIS_MONITORS;
		case REDIS_W('S', 'Y', 'N', 'C', 0, 0, 0, 0):
		case REDIS_W('P', 'S', 'Y', 'N', 'C', 0, 0, 0): return REDIS_REPLICA;
		}
		return REDIS_PLAIN;
	}
	switch (name->word[0]) {
	case REDIS_W('B', 'R', 'P', 'O', 'P', 'L', 'P', 'U'):
		return b == STREAM_W4('S', 'H', 0, 0) ? REDIS_BLOCKING : REDIS_PLAIN;
	case REDIS_W('S', 'U', 'B', 'S', 'C', 'R', 'I', 'B'):
		return b == 'E' ? REDIS_PUBSUB : REDIS_PLAIN;
	case REDIS_W('P', 'S', 'U', 'B', 'S', 'C', 'R', 'I'):
	case REDIS_W('S', 'S', 'U', 'B', 'S', 'C', 'R', 'I'):
		return b == STREAM_W4('B', 'E', 0, 0) ? REDIS_PUBSUB : REDIS_PLAIN;
	case REDIS_W('U', 'N', 'S', 'U', 'B', 'S', 'C', 'R'):
		return b == STREAM_W4('I', 'B', 'E', 0) ? REDIS_PUBSUB : REDIS_PLAIN;
	case REDIS_W('P', 'U', 'N', 'S', 'U', 'B', 'S', 'C'):
	case REDIS_W('S', 'U', 'N', 'S', 'U', 'B', 'S', 'C'):
		return b == STREAM_W4('R', 'I', 'B', 'E') ? REDIS_PUBSUB : REDIS_PLAIN;
	}
	return REDIS_PLAIN;
}

enum redis_reads { REDIS_READS_SUB = 1, REDIS_READS_BLOCK = 2 };

/* Which arguments of a command must be read, too. */
STREAM_INLINE __u8 redis__reads(const struct redis_name *name)
{
	switch (name->word[0]) {
	case REDIS_W('C', 'O', 'N', 'F', 'I', 'G', 0, 0):
	case REDIS_W('C', 'L', 'I', 'E', 'N', 'T', 0, 0):
	case REDIS_W('C', 'L', 'U', 'S', 'T', 'E', 'R', 0):
	case REDIS_W('S', 'C', 'R', 'I', 'P', 'T', 0, 0):
	case REDIS_W('F', 'U', 'N', 'C', 'T', 'I', 'O', 'N'):
	case REDIS_W('O', 'B', 'J', 'E', 'C', 'T', 0, 0):
	case REDIS_W('M', 'E', 'M', 'O', 'R', 'Y', 0, 0):
	case REDIS_W('C', 'O', 'M', 'M', 'A', 'N', 'D', 0):
	case REDIS_W('A', 'C', 'L', 0, 0, 0, 0, 0):
	case REDIS_W('P', 'U', 'B', 'S', 'U', 'B', 0, 0):
	case REDIS_W('S', 'L', 'O', 'W', 'L', 'O', 'G', 0):
	case REDIS_W('L', 'A', 'T', 'E', 'N', 'C', 'Y', 0):
	case REDIS_W('M', 'O', 'D', 'U', 'L', 'E', 0, 0):
	case REDIS_W('D', 'E', 'B', 'U', 'G', 0, 0, 0):
	case REDIS_W('X', 'G', 'R', 'O', 'U', 'P', 0, 0):
	case REDIS_W('X', 'I', 'N', 'F', 'O', 0, 0, 0): return name->word[1] ? 0 : REDIS_READS_SUB;
	case REDIS_W('X', 'R', 'E', 'A', 'D', 0, 0, 0): return REDIS_READS_BLOCK;
	case REDIS_W('X', 'R', 'E', 'A', 'D', 'G', 'R', 'O'):
		return name->word[1] == STREAM_W4('U', 'P', 0, 0) ? REDIS_READS_BLOCK : 0;
	}
	return 0;
}

/* First words of pub/sub messages where RESP2 sends them as arrays. */
STREAM_INLINE int redis__is_pushed(const struct redis_name *name)
{
	switch (name->word[0]) {
	case REDIS_W('M', 'E', 'S', 'S', 'A', 'G', 'E', 0):
	case REDIS_W('P', 'M', 'E', 'S', 'S', 'A', 'G', 'E'):
	case REDIS_W('S', 'M', 'E', 'S', 'S', 'A', 'G', 'E'): return !name->word[1];
	}
	return redis__class(name) == REDIS_PUBSUB;
}

/* Commands that every client knows: one of them at a segment's start tells which side asks. */
STREAM_INLINE int redis__is_common(const struct redis_name *name)
{
	switch (name->word[0]) {
	case REDIS_W('P', 'I', 'N', 'G', 0, 0, 0, 0):
	case REDIS_W('H', 'E', 'L', 'L', 'O', 0, 0, 0):
	case REDIS_W('A', 'U', 'T', 'H', 0, 0, 0, 0):
	case REDIS_W('S', 'E', 'L', 'E', 'C', 'T', 0, 0):
	case REDIS_W('C', 'L', 'I', 'E', 'N', 'T', 0, 0):
	case REDIS_W('C', 'O', 'M', 'M', 'A', 'N', 'D', 0):
	case REDIS_W('C', 'O', 'N', 'F', 'I', 'G', 0, 0):
	case REDIS_W('C', 'L', 'U', 'S', 'T', 'E', 'R', 0):
	case REDIS_W('I', 'N', 'F', 'O', 0, 0, 0, 0):
	case REDIS_W('G', 'E', 'T', 0, 0, 0, 0, 0):
	case REDIS_W('S', 'E', 'T', 0, 0, 0, 0, 0):
	case REDIS_W('S', 'E', 'T', 'E', 'X', 0, 0, 0):
	case REDIS_W('S', 'E', 'T', 'N', 'X', 0, 0, 0):
	case REDIS_W('M', 'G', 'E', 'T', 0, 0, 0, 0):
	case REDIS_W('M', 'S', 'E', 'T', 0, 0, 0, 0):
	case REDIS_W('D', 'E', 'L', 0, 0, 0, 0, 0):
	case REDIS_W('U', 'N', 'L', 'I', 'N', 'K', 0, 0):
	case REDIS_W('E', 'X', 'I', 'S', 'T', 'S', 0, 0):
	case REDIS_W('E', 'X', 'P', 'I', 'R', 'E', 0, 0):
	case REDIS_W('T', 'T', 'L', 0, 0, 0, 0, 0):
	case REDIS_W('I', 'N', 'C', 'R', 0, 0, 0, 0):
	case REDIS_W('I', 'N', 'C', 'R', 'B', 'Y', 0, 0):
	case REDIS_W('D', 'E', 'C', 'R', 0, 0, 0, 0):
	case REDIS_W('H', 'G', 'E', 'T', 0, 0, 0, 0):
	case REDIS_W('H', 'S', 'E', 'T', 0, 0, 0, 0):
	case REDIS_W('H', 'M', 'G', 'E', 'T', 0, 0, 0):
	case REDIS_W('H', 'G', 'E', 'T', 'A', 'L', 'L', 0):
	case REDIS_W('L', 'P', 'U', 'S', 'H', 0, 0, 0):
	case REDIS_W('R', 'P', 'U', 'S', 'H', 0, 0, 0):
	case REDIS_W('L', 'P', 'O', 'P', 0, 0, 0, 0):
	case REDIS_W('R', 'P', 'O', 'P', 0, 0, 0, 0):
	case REDIS_W('L', 'R', 'A', 'N', 'G', 'E', 0, 0):
	case REDIS_W('S', 'A', 'D', 'D', 0, 0, 0, 0):
	case REDIS_W('S', 'P', 'O', 'P', 0, 0, 0, 0):
	case REDIS_W('Z', 'A', 'D', 'D', 0, 0, 0, 0):
	case REDIS_W('Z', 'R', 'A', 'N', 'G', 'E', 0, 0):
	case REDIS_W('Z', 'P', 'O', 'P', 'M', 'I', 'N', 0):
	case REDIS_W('P', 'U', 'B', 'L', 'I', 'S', 'H', 0):
	case REDIS_W('E', 'V', 'A', 'L', 0, 0, 0, 0):
	case REDIS_W('E', 'V', 'A', 'L', 'S', 'H', 'A', 0):
	case REDIS_W('M', 'U', 'L', 'T', 'I', 0, 0, 0):
	case REDIS_W('E', 'X', 'E', 'C', 0, 0, 0, 0):
	case REDIS_W('X', 'A', 'D', 'D', 0, 0, 0, 0):
	case REDIS_W('X', 'R', 'E', 'A', 'D', 0, 0, 0):
	case REDIS_W('S', 'C', 'A', 'N', 0, 0, 0, 0):
	case REDIS_W('E', 'C', 'H', 'O', 0, 0, 0, 0): return !name->word[1];
	}
	return redis__class(name) != REDIS_PLAIN || redis__reads(name) == REDIS_READS_BLOCK;
}

#endif
