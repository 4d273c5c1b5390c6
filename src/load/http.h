/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parts of the role "http": configuration and commands (http.c), one call on libcurl
 * (http_slot.c), and when calls start and end (http_loop.c). One thread.
 */
#ifndef HOPSCOPE_LOAD_HTTP_H
#define HOPSCOPE_LOAD_HTTP_H

#include <curl/curl.h>

#include "load/http_body.h"
#include "load/http_calls.h"
#include "load/schedule.h"
#include "load/worker.h"

#define HTTP_CONNECTIONS_MAX 4096
#define HTTP_CALLS_MAX	     10000000
#define HTTP_PAYLOAD_MAX     (1 << 20)
#define HTTP_ANSWER_MAX	     (4u << 20)
#define HTTP_TRACE_LEN	     68 /* "traceparent: 00-<32>-<16>-01" */

struct http_run;

/* One of `connections`: a handle of libcurl, used for one call after the other. */
struct http_slot {
	struct http *http;
	CURL *easy;		       /* made when it is first needed */
	uint64_t made;		       /* the number of the run its options are of */
	size_t call;		       /* index in the run */
	struct http_slot *prev, *next; /* in flight, in the order of their starts */
	struct aws_ids ids;
	struct buffer request;
	struct buffer answer; /* kept only when it is to be checked */
	size_t answer_bytes;
	bool sent;     /* the request has been given to a connection */
	bool died;     /* that connection was dead, and libcurl would send it again */
	long os_errno; /* how it died */
	struct curl_slist trace_header;
	char trace[HTTP_TRACE_LEN + 1];
};

struct http {
	struct worker *w;
	const char *url;
	const char *ca; /* NULL: whom the system trusts */
	size_t n;	/* slots */
	struct http_slot *slots;
	struct http_slot **free; /* a stack: the one used last is the warmest */
	size_t n_free;
	struct http_slot *oldest, *newest; /* in flight */
	CURLM *multi;
	int epoll;
	int timer;	   /* timerfd */
	uint64_t timer_ns; /* it is set to; 0: off */
	uint64_t curl_ns;  /* when libcurl wants to be called; 0: not */
	struct curl_slist *headers;
	uint64_t opened; /* connections */
	uint64_t traces[2];
	uint64_t seq;	      /* calls of the runs so far */
	uint64_t runs;	      /* so far */
	uint64_t total[3];    /* attempted, succeeded, failed, of all runs */
	struct http_run *run; /* under way */
};

struct http_run {
	struct http *http;
	struct http_calls calls;
	struct schedule schedule; /* open loop */
	const char *method;
	bool masker;
	bool traceparent;
	size_t payload;
	uint64_t seed;
	uint64_t timeout_ns;
	uint64_t limit_ns; /* no call starts after this; 0: none */
	size_t concurrency;
	uint64_t base; /* number of the first call */
	size_t next;   /* call to be started */
	size_t in_flight;
	size_t peak;
	size_t waited;	  /* sent late for want of a connection */
	uint64_t full_ns; /* until when all connections were taken last */
	size_t unsent;	  /* were due when the run was ended */
	uint64_t start_ns;
	uint64_t end_ns;
};

/* True for methods whose requests have a body. */
bool http_slot__has_body(const char *method);
/*
 * Makes the slot ready for call i of the run: everything that can be done before the clock starts.
 * 0 or -ENOMEM.
 */
int http_slot__prepare(struct http_slot *s, size_t i);
/* What became of the transfer that libcurl reports as over; *http_code is set for a whole answer.
 */
enum http_fate http_slot__judge(struct http_slot *s, CURLcode code, unsigned int *http_code);
void http_slot__free(struct http_slot *s);

/* multi, epoll, timer. 0, or a negative errno with the fault set. */
int http_loop__init(struct http *http);
void http_loop__free(struct http *http);
/* Makes the calls of http->run and returns when each has ended. 0 or a negative errno. */
int http_loop__run(struct http *http);

#endif
