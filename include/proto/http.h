/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP/1 framer, step 1: lines. Start lines, the header fields that decide where a message ends,
 * chunk sizes. include/proto/http_stream.h moves along a direction of a connection.
 *
 * Protocol: RFC 9112. What it lets a recipient repair or refuse is refused here, because two
 * recipients may then disagree where a message ends: more than one Content-Length, one beside
 * Transfer-Encoding, blanks in front of a colon, a folded framing field, an encoding that is not
 * chunked in a request. A line ends at LF, with or without CR.
 */
#ifndef HOPSCOPE_PROTO_HTTP_H
#define HOPSCOPE_PROTO_HTTP_H

#include "stream.h"

#define HTTP_METHOD_MAX 24
#define HTTP_BLANKS	64	     /* in front of a value, and behind */
#define HTTP_NAME_MAX	24	     /* bytes that tell whether a header field is of interest */
#define HTTP_HEAD_MAX	(256u << 10) /* nginx takes 32 KB, Go 1 MB */
#define HTTP_BODY_MAX	((__u64)1 << 48)
#define HTTP_SCANS	48 /* of 16 bytes, and */
#define HTTP_CURIOUS	8  /* lines that may be of interest: so far are heads read in one go */

enum http_role { HTTP_ROLE_UNKNOWN = 0, HTTP_REQUEST = 1, HTTP_RESPONSE = 2 };

enum http_method {
	HTTP_NONE = 0,
	HTTP_GET = 1,
	HTTP_HEAD = 2,
	HTTP_POST = 3,
	HTTP_PUT = 4,
	HTTP_DELETE = 5,
	HTTP_OPTIONS = 6,
	HTTP_PATCH = 7,
	HTTP_CONNECT = 8,
	HTTP_TRACE = 9,
	HTTP_OTHER = 10, /* WebDAV and the like */
	HTTP_METHODS
};

enum http_field {
	HTTP_F_NONE = 0,
	HTTP_F_LENGTH = 1,
	HTTP_F_ENCODING = 2,
	HTTP_F_CONNECTION = 3,
	HTTP_F_UPGRADE = 4,
	HTTP_F_EXPECT = 5,
	HTTP_F_TRACEPARENT = 6,
	HTTP_F_REQUEST_ID = 7,
	HTTP_F_END = 8, /* the empty line */
	HTTP_F_FOLD = 9,
};

/* What a head said. */
enum http_flag {
	HTTP_HAS_LENGTH = 1 << 0,
	HTTP_HAS_ENCODING = 1 << 1,
	HTTP_CHUNKED = 1 << 2,
	HTTP_CLOSE = 1 << 3, /* Connection: close */
	HTTP_KEEP_ALIVE = 1 << 4,
	HTTP_EXPECT = 1 << 5, /* 100-continue */
	HTTP_WEBSOCKET = 1 << 6,
	HTTP_H2C = 1 << 7,
};

enum http_result { HTTP_OK = 1, HTTP_BAD = 2, HTTP_PREFACE = 3 };

/* A line as read; of a message, what the hook needs to know. Positions are window positions. */
struct http_unit {
	/* in, of the line */
	__u32 begin;
	__u32 stop; /* behind the LF */
	__u32 end;  /* first invalid byte of the window */
	/* out, of the line */
	__u32 path; /* of the target, from the first '/', without query string */
	__u32 path_len;
	__u32 field; /* enum http_field */
	__u32 value;
	__u32 value_len;
	__u64 number; /* a length */
	__u16 flags;  /* enum http_flag that this line says */
	__u16 status;
	__u8 method;
	__u8 version; /* 10, 11 */
	__u8 role;
	/* of the message, for the hook */
	__u8 what;     /* enum http_what */
	__u8 m_role;   /* enum http_role */
	__u8 m_method; /* of a response what it answers: HEAD, CONNECT, OTHER, or NONE: not known */
	__u8 m_version;
	__u8 paired;	/* a response: `seq` is certain */
	__u16 m_status; /* of a response */
	__u16 m_flags;
	__u32 seq;   /* number of the request on its connection */
	__u32 head;  /* bytes of the head so far */
	__u64 bytes; /* of the message so far, as they are on the wire */
	/* of http__plain() */
	__u32 curious;
	__u32 pad;
	__u64 line[HTTP_CURIOUS]; /* begin, and << 32 the position behind it */
};

#define HTTP_W7(a, b, c, d, e, f, g) STREAM_W8(a, b, c, d, e, f, g, 0)

/* Letters to lower case. Other bytes change too: names with '-' or ':' are compared exactly there.
 */
#define HTTP_FOLD(w) ((w) | STREAM_ONES * 0x20)

/* A method's number, from its first 8 bytes, exact and zero-filled. */
STREAM_INLINE __u8 http__method(__u64 w)
{
	switch (w) {
	case STREAM_W4('G', 'E', 'T', 0): return HTTP_GET;
	case STREAM_W4('H', 'E', 'A', 'D'): return HTTP_HEAD;
	case STREAM_W4('P', 'O', 'S', 'T'): return HTTP_POST;
	case STREAM_W4('P', 'U', 'T', 0): return HTTP_PUT;
	case STREAM_W8('D', 'E', 'L', 'E', 'T', 'E', 0, 0): return HTTP_DELETE;
	case HTTP_W7('O', 'P', 'T', 'I', 'O', 'N', 'S'): return HTTP_OPTIONS;
	case STREAM_W8('P', 'A', 'T', 'C', 'H', 0, 0, 0): return HTTP_PATCH;
	case HTTP_W7('C', 'O', 'N', 'N', 'E', 'C', 'T'): return HTTP_CONNECT;
	case STREAM_W8('T', 'R', 'A', 'C', 'E', 0, 0, 0): return HTTP_TRACE;
	}
	return HTTP_OTHER;
}

/* Bytes of w in front of its first space; 0: there is none. */
STREAM_INLINE __u32 http__word(__u64 w)
{
	__u64 m = stream__find(w, ' ');

	return m ? stream__first(m) : 0;
}

STREAM_INLINE int http__begins(__u64 w, __u64 word, __u32 n)
{
	return !((w ^ word) << (64 - 8 * n));
}

/*
 * May a start line that proves something begin like w, of which n (> 0) bytes are there? Short
 * lines are kept for their rest, and any piece of a body would do if only its first byte counted.
 */
STREAM_INLINE int http__maybe_start(__u64 w, __u32 n)
{
	__u32 m = n < 7 ? n : 7;

	switch ((__u8)w) {
	case 'G': return http__begins(w, STREAM_W4('G', 'E', 'T', ' '), n < 4 ? n : 4);
	case 'H':
		return http__begins(w, STREAM_W8('H', 'T', 'T', 'P', '/', '1', '.', 0), m) ||
		       http__begins(w, STREAM_W8('H', 'E', 'A', 'D', ' ', 0, 0, 0), n < 5 ? n : 5);
	case 'P':
		return http__begins(w, STREAM_W8('P', 'O', 'S', 'T', ' ', 0, 0, 0),
				    n < 5 ? n : 5) ||
		       http__begins(w, STREAM_W4('P', 'U', 'T', ' '), n < 4 ? n : 4) ||
		       http__begins(w, STREAM_W8('P', 'A', 'T', 'C', 'H', ' ', 0, 0),
				    n < 6 ? n : 6) ||
		       http__begins(w, STREAM_W8('P', 'R', 'I', ' ', '*', ' ', 'H', 0), m);
	case 'D': return http__begins(w, STREAM_W8('D', 'E', 'L', 'E', 'T', 'E', ' ', 0), m);
	case 'O': return http__begins(w, STREAM_W8('O', 'P', 'T', 'I', 'O', 'N', 'S', 0), m);
	case 'C': return http__begins(w, STREAM_W8('C', 'O', 'N', 'N', 'E', 'C', 'T', 0), m);
	case 'T':
		return http__begins(w, STREAM_W8('T', 'R', 'A', 'C', 'E', ' ', 0, 0),
				    n < 6 ? n : 6);
	}
	return 0;
}

/*
 * Functions with a loop that ends early are global: the verifier follows every way out of a loop
 * through all that comes behind it.
 */

/* Length of the method at `at`: capital letters and '-' up to a space. 0: none. */
STREAM_GLOBAL __u32 http__method_len(const struct stream_window *window, __u32 at)
{
	const __u8 *win;
	__u32 i;
	__u8 c;

	if (!window)
		return 0;
	win = window->bytes;
	for (i = 0; i <= HTTP_METHOD_MAX; i++) {
		c = stream__byte(win, at + i);
		if (c == ' ')
			return i;
		if ((__u8)(c - 'A') > 'Z' - 'A' && c != '-')
			return 0;
	}
	return 0;
}

/*
 * Looks for a, b or c in the 64 bytes at `at`: their position, or behind them. A part of a loop, so
 * that the verifier has few turns of it to go through.
 */
STREAM_INLINE __u32 http__first64(const __u8 *win, __u32 at, __u32 abc)
{
	__u64 w, m;
	__u32 i;

	for (i = 0; i < 8; i++) {
		w = stream__load64(win, at);
		m = stream__find(w, (__u8)abc) | stream__find(w, (__u8)(abc >> 8)) |
		    stream__find(w, (__u8)(abc >> 16));
		if (m)
			return at + stream__first(m);
		at += 8;
	}
	return at;
}

STREAM_GLOBAL __u32 http__index64(const struct stream_window *window, __u32 at, __u32 abc)
{
	return window ? http__first64(window->bytes, at, abc) : at;
}

/*
 * Position of the first a, b or c in [at, end), else end. Lines are at most STREAM_KEEP_MAX long,
 * and one read more where they are not kept whole.
 */
STREAM_GLOBAL __u32 http__index(const struct stream_window *window, __u32 at, __u32 end, __u32 abc)
{
	__u32 i, to;

	if (!window)
		return end;
	for (i = 0; i < (STREAM_KEEP_MAX + STREAM_WIN_LOAD) / 64 && at < end; i++) {
		to = http__index64(window, at, abc);
		if (to != at + 64) {
			at = to;
			break;
		}
		at = to;
	}
	return at < end ? at : end;
}

#define HTTP_ANY(a, b, c) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16)

/* The target [at, end): its path. "*" and CONNECT's authority are paths of their own. */
STREAM_INLINE void http__path(const struct stream_window *window, struct http_unit *u, __u32 at,
			      __u32 end)
{
	__u64 w = stream__load64(window->bytes, at);
	__u32 skip = 0, to;

	/* Not folded: "://" must be what it is. */
	if ((HTTP_FOLD(w) & 0xffffffff) == STREAM_W4('h', 't', 't', 'p')) {
		if ((w >> 32 & 0xffffff) == STREAM_W4(':', '/', '/', 0))
			skip = 7;
		else if ((w >> 32 | 0x20) == STREAM_W4('s', ':', '/', '/'))
			skip = 8;
	}
	if (skip && at + skip <= end)
		at = http__index(window, at + skip, end, HTTP_ANY('/', '/', '/'));
	u->path = at;
	to = http__first64(window->bytes, at, HTTP_ANY('?', '#', ' '));
	if (to == at + 64)
		to = http__index(window, to, end, HTTP_ANY('?', '#', ' '));
	u->path_len = (to < end ? to : end) - at;
}

#define HTTP_VERSION  STREAM_W8('H', 'T', 'T', 'P', '/', '1', '.', 0)
#define HTTP_PREFACE1 STREAM_W8('P', 'R', 'I', ' ', '*', ' ', 'H', 'T')
#define HTTP_PREFACE2 STREAM_W8('T', 'P', '/', '2', '.', '0', '\r', '\n')

/* The version at `at`, 8 bytes: 10, 11, else 0. */
STREAM_INLINE __u8 http__version(const __u8 *win, __u32 at)
{
	__u64 w = stream__load64(win, at);
	__u8 minor = (__u8)(w >> 56);

	if (stream__low(w, 7) != HTTP_VERSION || (minor != '0' && minor != '1'))
		return 0;
	return (__u8)(10 + minor - '0');
}

STREAM_INLINE int http__status_line(const __u8 *win, struct http_unit *u, __u32 end)
{
	__u32 a, b, c, at = u->begin;

	if (end - at < 12 || stream__byte(win, at + 8) != ' ')
		return HTTP_BAD;
	a = (__u32)stream__byte(win, at + 9) - '0';
	b = (__u32)stream__byte(win, at + 10) - '0';
	c = (__u32)stream__byte(win, at + 11) - '0';
	if (a < 1 || a > 9 || b > 9 || c > 9)
		return HTTP_BAD;
	if (end - at > 12 && stream__byte(win, at + 12) != ' ')
		return HTTP_BAD;
	u->status = (__u16)(a * 100 + b * 10 + c);
	u->role = HTTP_RESPONSE;
	return HTTP_OK;
}

/*
 * Reads the start line [begin, stop). A line whose end is not in the window (stop 0: longer than
 * what is kept) is a request with a long target; its version is not looked at.
 */
STREAM_GLOBAL int http__start(const struct stream_window *window, struct http_unit *u)
{
	__u32 end, len, at, n;
	const __u8 *win;
	__u64 w;

	if (!window || !u)
		return HTTP_BAD;
	win = window->bytes;
	at = u->begin;
	u->status = 0;
	u->method = HTTP_NONE;
	u->path = u->path_len = 0;
	end = u->stop ? u->stop - 1 : u->end;
	if (u->stop && end > at && stream__byte(win, end - 1) == '\r')
		end--;
	len = end - at;
	if (len < 12 || len > STREAM_KEEP_MAX + STREAM_WIN_LOAD)
		return HTTP_BAD;
	u->version = http__version(win, at);
	if (u->version)
		return u->stop ? http__status_line(win, u, end) : HTTP_BAD;
	if (len == 14 && stream__load64(win, at) == HTTP_PREFACE1 &&
	    stream__load64(win, at + 8) == HTTP_PREFACE2)
		return HTTP_PREFACE;
	w = stream__load64(win, at);
	n = http__word(w);
	u->method = http__method(stream__low(w, n));
	if (u->method == HTTP_OTHER) {
		n = http__method_len(window, at);
		if (!n)
			return HTTP_BAD;
	}
	u->version = 11;
	if (u->stop) {
		if (len < n + 11 || stream__byte(win, end - 9) != ' ')
			return HTTP_BAD;
		u->version = http__version(win, end - 8);
		if (!u->version)
			return HTTP_BAD;
		end -= 9;
	}
	if (stream__byte(win, at + n + 1) <= ' ')
		return HTTP_BAD;
	u->role = HTTP_REQUEST;
	http__path(window, u, at + n + 1, end);
	return HTTP_OK;
}

/* May the header line that begins with this byte be of interest? Blanks and the like are. */
STREAM_INLINE int http__maybe(__u8 c)
{
	__u8 low = c | 0x20;

	return low == 'c' || low == 't' || low == 'u' || low == 'e' || low == 'x' || c < '!';
}

/* The field that the name at `at` is, and the name's length. 24 bytes must be readable. */
STREAM_INLINE __u32 http__name(const __u8 *win, __u32 at, __u32 *len)
{
	__u64 a = HTTP_FOLD(stream__load64(win, at)), b = HTTP_FOLD(stream__load64(win, at + 8));
	__u32 field = HTTP_F_NONE, dash = 0;

	switch (a) {
	case STREAM_W8('c', 'o', 'n', 't', 'e', 'n', 't', '-'):
		if (stream__low(b, 6) == STREAM_W8('l', 'e', 'n', 'g', 't', 'h', 0, 0))
			field = HTTP_F_LENGTH;
		*len = 14;
		dash = 7;
		break;
	case STREAM_W8('t', 'r', 'a', 'n', 's', 'f', 'e', 'r'):
		if (b == STREAM_W8('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n') &&
		    (stream__byte(win, at + 16) | 0x20) == 'g')
			field = HTTP_F_ENCODING;
		*len = 17;
		dash = 8;
		break;
	case STREAM_W8('c', 'o', 'n', 'n', 'e', 'c', 't', 'i'):
		if (stream__low(b, 2) == STREAM_W4('o', 'n', 0, 0))
			field = HTTP_F_CONNECTION;
		*len = 10;
		break;
	case STREAM_W8('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r'):
		if (stream__low(b, 3) == STREAM_W4('e', 'n', 't', 0))
			field = HTTP_F_TRACEPARENT;
		*len = 11;
		break;
	case STREAM_W8('x', '-', 'r', 'e', 'q', 'u', 'e', 's'):
		if (stream__low(b, 4) == STREAM_W4('t', '-', 'i', 'd') &&
		    stream__byte(win, at + 9) == '-')
			field = HTTP_F_REQUEST_ID;
		*len = 12;
		dash = 1;
		break;
	default:
		if (stream__low(a, 7) == HTTP_W7('u', 'p', 'g', 'r', 'a', 'd', 'e')) {
			field = HTTP_F_UPGRADE;
			*len = 7;
		} else if (stream__low(a, 6) == STREAM_W8('e', 'x', 'p', 'e', 'c', 't', 0, 0)) {
			field = HTTP_F_EXPECT;
			*len = 6;
		}
	}
	if (field && dash && stream__byte(win, at + dash) != '-')
		field = HTTP_F_NONE;
	return field;
}

/*
 * The lines that begin behind the LFs marked in m, which are those of the 8 bytes at `base`: the
 * position of the first one that must be looked at, or of which too little is in the window; else
 * 0.
 */
STREAM_GLOBAL __u32 http__look(const struct stream_window *window, const struct http_unit *u,
			       __u32 base, __u64 m, __u32 all)
{
	const __u8 *win;
	__u32 k, p, len;

	if (!window || !u)
		return 0;
	win = window->bytes;
	for (k = 0; k < 8 && m; k++) {
		p = base + stream__first(m) + 1;
		if (p > u->end)
			break;
		if (p + HTTP_NAME_MAX > u->end ||
		    (http__maybe(stream__byte(win, p)) &&
		     (stream__byte(win, p) < '!' || (!all && http__name(win, p, &len)))))
			return p;
		m &= m - 1;
	}
	return 0;
}

/*
 * Passes over header lines of no interest. In: u->begin, inside a line or at its first byte; `all`:
 * no line is of interest (trailers). Out: u->begin moved on, by STREAM_SCAN bytes at most. 1: to
 * the first byte of a line that must be looked at, or of which too little is in the window.
 */
STREAM_GLOBAL int http__skim(const struct stream_window *window, struct http_unit *u, __u32 all)
{
	__u32 i, p, base;
	const __u8 *win;
	__u64 m;

	if (!window || !u)
		return 1;
	win = window->bytes;
	base = u->begin;
	for (i = 0; i < STREAM_SCAN / 8; i++) {
		m = stream__find(stream__load64(win, base + 8 * i), '\n');
		p = m ? http__look(window, u, base + 8 * i, m, all) : 0;
		if (p) {
			STREAM_PUT(u->begin, p);
			return 1;
		}
		if (base + 8 * i + 8 >= u->end)
			break;
	}
	base += STREAM_SCAN;
	STREAM_PUT(u->begin, base < u->end ? base : u->end);
	return 0;
}

/* Decimal number [at, end); HTTP_BODY_MAX or less, else -1. */
STREAM_GLOBAL __s64 http__decimal(const struct stream_window *window, __u32 at, __u32 end)
{
	const __u8 *win;
	__u64 n = 0;
	__u32 i, c;

	if (!window || at >= end || end - at > 19)
		return -1;
	win = window->bytes;
	for (i = 0; i < 19; i++) {
		if (at + i >= end)
			break;
		c = (__u32)stream__byte(win, at + i) - '0';
		if (c > 9)
			return -1;
		n = n * 10 + c;
	}
	return n > HTTP_BODY_MAX ? -1 : (__s64)n;
}

STREAM_INLINE int http__blank(__u8 c)
{
	return c == ' ' || c == '\t';
}

/* Position of the first byte in [at, end) that is not blank. */
STREAM_GLOBAL __u32 http__unblank(const struct stream_window *window, __u32 at, __u32 end)
{
	__u32 i;

	if (!window)
		return end;
	for (i = 0; i < HTTP_BLANKS && at < end; i++) {
		if (!http__blank(stream__byte(window->bytes, at)))
			break;
		at++;
	}
	return at;
}

/* Position behind the last one that is not. */
STREAM_GLOBAL __u32 http__unblank_end(const struct stream_window *window, __u32 at, __u32 end)
{
	__u32 i;

	if (!window)
		return end;
	for (i = 0; i < HTTP_BLANKS && at < end; i++) {
		if (!http__blank(stream__byte(window->bytes, end - 1)))
			break;
		end--;
	}
	return end;
}

/* Transfer-Encoding: is "chunked" the last coding named? */
STREAM_INLINE int http__is_chunked(const __u8 *win, __u32 at, __u32 end)
{
	__u64 w = HTTP_FOLD(stream__load64(win, end - 7));
	__u8 c;

	if (end - at < 7 || stream__low(w, 7) != HTTP_W7('c', 'h', 'u', 'n', 'k', 'e', 'd'))
		return 0;
	c = stream__byte(win, end - 8);
	return end - at == 7 || c == ',' || http__blank(c);
}

/* What the value [at, end) of an interesting field says. */
STREAM_INLINE int http__value(const struct stream_window *window, struct http_unit *u, __u32 at,
			      __u32 end)
{
	const __u8 *win = window->bytes;
	__u64 w = HTTP_FOLD(stream__load64(win, at));
	__u32 len = end - at;

	u->value = at;
	u->value_len = len;
	if (len < 8)
		w = stream__low(w, len);
	switch (u->field) {
	case HTTP_F_LENGTH:
		u->number = (__u64)http__decimal(window, at, end);
		u->flags = HTTP_HAS_LENGTH;
		return (__s64)u->number < 0 ? HTTP_BAD : HTTP_OK;
	case HTTP_F_ENCODING:
		u->flags = HTTP_HAS_ENCODING | (http__is_chunked(win, at, end) ? HTTP_CHUNKED : 0);
		break;
	case HTTP_F_CONNECTION:
		if (stream__low(w, 5) == STREAM_W8('c', 'l', 'o', 's', 'e', 0, 0, 0))
			u->flags = HTTP_CLOSE;
		else if (w == STREAM_W8('k', 'e', 'e', 'p', '-', 'a', 'l', 'i'))
			u->flags = HTTP_KEEP_ALIVE;
		break;
	case HTTP_F_UPGRADE:
		if (w == STREAM_W8('w', 'e', 'b', 's', 'o', 'c', 'k', 'e'))
			u->flags = HTTP_WEBSOCKET;
		else if (w == STREAM_W4('h', '2', 'c', 0))
			u->flags = HTTP_H2C;
		break;
	case HTTP_F_EXPECT:
		if (w == STREAM_W8('1', '0', '0', '-', 'c', 'o', 'n', 't'))
			u->flags = HTTP_EXPECT;
		break;
	}
	return HTTP_OK;
}

/* Reads the header line [begin, stop); of a trailer line only whether it is the last. */
STREAM_GLOBAL int http__field(const struct stream_window *window, struct http_unit *u,
			      __u32 trailer)
{
	__u32 at, end, len = 0;
	const __u8 *win;
	__u8 c;

	if (!window || !u)
		return HTTP_BAD;
	win = window->bytes;
	at = u->begin;
	end = u->stop - 1;
	u->field = HTTP_F_NONE;
	u->flags = 0;
	if (end > at && stream__byte(win, end - 1) == '\r')
		end--;
	c = stream__byte(win, at);
	if (end == at) {
		u->field = HTTP_F_END;
		return HTTP_OK;
	}
	if (c < '!') {
		u->field = HTTP_F_FOLD;
		return http__blank(c) ? HTTP_OK : HTTP_BAD;
	}
	if (trailer)
		return HTTP_OK;
	u->field = http__name(win, at, &len);
	if (u->field == HTTP_F_NONE || at + len >= end) {
		u->field = HTTP_F_NONE;
		return HTTP_OK;
	}
	at += len;
	c = stream__byte(win, at);
	if (c != ':') {
		u->field = HTTP_F_NONE;
		return http__blank(c) ? HTTP_BAD : HTTP_OK;
	}
	at = http__unblank(window, at + 1, end);
	end = http__unblank_end(window, at, end);
	return http__value(window, u, at, end);
}

/*
 * Reads the line [at, stop) if it is of no interest, or a field that decides on the framing as
 * everybody writes it. 0: it is left to http__field(), which alone refuses.
 */
STREAM_INLINE int http__plain_field(const __u8 *win, struct http_unit *u, __u32 at, __u32 stop)
{
	__u64 a = HTTP_FOLD(stream__load64(win, at)), b = stream__load64(win, at + 8), w;
	__s64 n;

	switch (a) {
	case STREAM_W8('c', 'o', 'n', 't', 'e', 'n', 't', '-'):
		w = stream__low(HTTP_FOLD(b), 6);
		if (w != STREAM_W8('l', 'e', 'n', 'g', 't', 'h', 0, 0))
			break;
		/* "Content-Length: 1\r\n" to 8 digits */
		if ((u->flags & HTTP_HAS_LENGTH) || stop - at - 19 > 7 ||
		    stream__byte(win, at + 7) != '-' || b >> 48 != STREAM_W4(':', ' ', 0, 0) ||
		    stream__byte(win, stop - 2) != '\r')
			return 0;
		n = stream__digits(stream__load64(win, stop - 10), stop - at - 18);
		if (n < 0)
			return 0;
		u->number = (__u64)n;
		u->flags |= HTTP_HAS_LENGTH;
		u->field = HTTP_F_LENGTH;
		return 1;
	case STREAM_W8('c', 'o', 'n', 'n', 'e', 'c', 't', 'i'):
		if (stream__low(HTTP_FOLD(b), 2) != STREAM_W4('o', 'n', 0, 0))
			break;
		w = HTTP_FOLD(stream__load64(win, at + 12));
		if ((__u16)(b >> 16) != STREAM_W4(':', ' ', 0, 0))
			return 0;
		if (w == STREAM_W8('k', 'e', 'e', 'p', '-', 'a', 'l', 'i'))
			u->flags |= HTTP_KEEP_ALIVE;
		else if (stream__low(w, 5) == STREAM_W8('c', 'l', 'o', 's', 'e', 0, 0, 0))
			u->flags |= HTTP_CLOSE;
		else
			return 0;
		u->field = HTTP_F_CONNECTION;
		return 1;
	case STREAM_W8('t', 'r', 'a', 'n', 's', 'f', 'e', 'r'):
		/* "Transfer-Encoding: chunked\r\n" */
		w = HTTP_FOLD(b);
		if ((u->flags & HTTP_HAS_ENCODING) || stop - at != 28 || (__u8)b != '-' ||
		    w != STREAM_W8('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n'))
			return 0;
		w = stream__load64(win, at + 16) ^
		    STREAM_W8('g', ':', ' ', 'c', 'h', 'u', 'n', 'k');
		b = stream__load64(win, at + 20) ^
		    STREAM_W8('h', 'u', 'n', 'k', 'e', 'd', '\r', '\n');
		if ((w & ~(__u64)0x2020202020000020) || (b & ~(__u64)0x0000202020202020))
			return 0;
		u->flags |= HTTP_HAS_ENCODING | HTTP_CHUNKED;
		u->field = HTTP_F_ENCODING;
		return 1;
	case STREAM_W8('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r'):
	case STREAM_W8('x', '-', 'r', 'e', 'q', 'u', 'e', 's'): return 0;
	case STREAM_W8('u', 'p', 'g', 'r', 'a', 'd', 'e', '-'): break;
	default:
		if (stream__low(a, 7) == HTTP_W7('u', 'p', 'g', 'r', 'a', 'd', 'e') ||
		    stream__low(a, 6) == STREAM_W8('e', 'x', 'p', 'e', 'c', 't', 0, 0))
			return 0;
	}
	u->field = HTTP_F_NONE;
	return 1;
}

/* Lower bits of the letters that http__plain_field() knows: c, e, t, u, x. Others may have them. */
#define HTTP_LETTERS (1u << 3 | 1u << 5 | 1u << 20 | 1u << 21 | 1u << 24)

/*
 * Moves u->begin on over header lines that are whole in the window, to the empty line or what ends
 * inside of it. Lines that may be of interest are written down, as many as there is room for.
 */
STREAM_INLINE void http__lines(__u8 *win, struct http_unit *u)
{
	__u32 at = STREAM_GET(u->begin), stop, i, n;
	__u64 a, b;
	__u8 c;

	win[STREAM_GET(u->end) & STREAM_WIN_MASK] = '\n'; /* whatever there is, the search ends */
	u->curious = 0;
	for (i = 0; i < HTTP_SCANS; i++) {
		a = stream__load64(win, at) ^ STREAM_ONES * '\n';
		b = stream__load64(win, at + 8) ^ STREAM_ONES * '\n';
		/* Exact in the lowest byte that is found. */
		a = (a - STREAM_ONES) & ~a & STREAM_HIGHS;
		b = (b - STREAM_ONES) & ~b & STREAM_HIGHS;
		if (!(a | b)) {
			at += 16;
			continue;
		}
		stop = at + (a ? stream__first(a) : 8 + stream__first(b)) + 1;
		at = STREAM_GET(u->begin);
		c = stream__byte(win, at);
		if (stop > STREAM_GET(u->end) || c < '!')
			break;
		if (HTTP_LETTERS >> (c & 31) & 1) {
			n = STREAM_GET(u->curious);
			if (n >= HTTP_CURIOUS)
				break;
			u->line[n] = (__u64)stop << 32 | at;
			STREAM_PUT(u->curious, n + 1);
		}
		STREAM_PUT(u->begin, stop);
		at = STREAM_GET(u->begin);
	}
}

/*
 * Header lines that are whole in the window, as long as http__plain_field() reads them: most heads
 * to their end in one go. In: u->begin, a line's first byte; flags and number, what the lines
 * before said. Out: begin moved to the first byte of a line that is not read here, flags, number;
 * field: of the last line passed, if begin has moved. Returns the length of the empty line, when
 * that is what is at begin, else 0.
 */
STREAM_GLOBAL __u32 http__plain(struct stream_window *window, struct http_unit *u)
{
	__u32 i, at, n, stop = 0;
	__u8 *win;
	__u64 line;

	if (!window || !u)
		return 0;
	win = window->bytes;
	http__lines(win, u);
	n = STREAM_GET(u->curious);
	for (i = 0; i < HTTP_CURIOUS && i < n; i++) {
		line = STREAM_GET(u->line[i]);
		if (!http__plain_field(win, u, (__u32)line, line >> 32)) {
			STREAM_PUT(u->begin, (__u32)line);
			break;
		}
		stop = line >> 32;
	}
	at = STREAM_GET(u->begin);
	if (stop != at)
		u->field = HTTP_F_NONE;
	if (i < n || at >= STREAM_GET(u->end))
		return 0;
	if (stream__byte(win, at) == '\n')
		return 1;
	return at + 1 < u->end && (__u16)stream__load64(win, at) == STREAM_W4('\r', '\n', 0, 0) ? 2
												: 0;
}

/* Reads the chunk-size line [begin, stop): u->number. */
STREAM_GLOBAL int http__chunk(const struct stream_window *window, struct http_unit *u)
{
	const __u8 *win;
	__u32 i, c, at;

	if (!window || !u)
		return HTTP_BAD;
	win = window->bytes;
	at = u->begin;
	u->number = 0;
	for (i = 0; i < 16; i++) {
		c = stream__byte(win, at + i);
		if (c - '0' <= 9)
			c -= '0';
		else if ((c | 0x20) - 'a' <= 5)
			c = (c | 0x20) - 'a' + 10;
		else
			break;
		STREAM_PUT(u->number, STREAM_GET(u->number) << 4 | c);
	}
	c = stream__byte(win, at + i);
	if (i == 0 || STREAM_GET(u->number) > HTTP_BODY_MAX ||
	    (c != '\r' && c != '\n' && c != ';' && !http__blank((__u8)c)))
		return HTTP_BAD;
	if (c == '\r' && stream__byte(win, at + i + 1) != '\n')
		return HTTP_BAD;
	return HTTP_OK;
}

#endif
