/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One call on libcurl: its options, its request, its answer. */
#include "load/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "load/http_error.h"

#define ANSWER_KEEP (64u << 10) /* more is given back after the call */

bool http_slot__has_body(const char *method)
{
	return !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH");
}

static size_t slot__on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct http_slot *s = arg;

	n *= size;
	s->answer_bytes += n;
	if (s->answer_bytes > HTTP_ANSWER_MAX)
		return 0; /* ends the transfer */
	if (!s->http->run->masker || !n)
		return n;
	if (buffer__reserve(&s->answer, n))
		return 0;
	memcpy(s->answer.p + s->answer.n, data, n);
	s->answer.n += n;
	return n;
}

/*
 * libcurl sends a request again when the kept connection that it went out on turns out to be dead.
 * A load that hides failures is of no use: the second attempt is refused, here if it finds another
 * kept connection, and in slot__on_open if it needs a new one.
 */
static void slot__note_death(struct http_slot *s)
{
	if (!s->died)
		curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &s->os_errno);
	s->died = true;
}

static int slot__on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct http_slot *s = arg;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	if (s->sent) {
		slot__note_death(s);
		return CURL_PREREQFUNC_ABORT;
	}
	s->sent = true;
	return CURL_PREREQFUNC_OK;
}

static curl_socket_t slot__on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_slot *s = arg;
	int fd;

	(void)purpose;
	if (s->sent) {
		slot__note_death(s);
		return CURL_SOCKET_BAD;
	}
	fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	s->http->opened++;
	return fd;
}

/* The options that all calls of a run share. */
static int slot__configure(struct http_slot *s, const struct http_run *run)
{
	const struct http *http = s->http;
	CURL *e = s->easy;
	int err = 0;

	curl_easy_reset(e); /* keeps connections */
	err |= curl_easy_setopt(e, CURLOPT_URL, http->url);
	err |= curl_easy_setopt(e, CURLOPT_PRIVATE, s);
	err |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	err |= curl_easy_setopt(e, CURLOPT_PROXY, ""); /* nor by the environment */
	err |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	err |= curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	err |= curl_easy_setopt(e, CURLOPT_USERAGENT, "hopscope/" HOPSCOPE_VERSION);
	err |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, slot__on_answer);
	err |= curl_easy_setopt(e, CURLOPT_WRITEDATA, s);
	err |= curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, slot__on_request);
	err |= curl_easy_setopt(e, CURLOPT_PREREQDATA, s);
	err |= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, slot__on_open);
	err |= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, s);
	if (http->ca)
		err |= curl_easy_setopt(e, CURLOPT_CAINFO, http->ca);
	if (http_slot__has_body(run->method))
		err |= curl_easy_setopt(e, CURLOPT_POST, 1L);
	else if (!strcmp(run->method, "HEAD"))
		err |= curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	err |= curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, run->method);
	s->trace_header = (struct curl_slist){.data = s->trace, .next = http->headers};
	err |= curl_easy_setopt(e, CURLOPT_HTTPHEADER,
				run->traceparent ? &s->trace_header : http->headers);
	s->made = http->runs;
	return err ? -ENOMEM : 0;
}

int http_slot__prepare(struct http_slot *s, size_t i)
{
	struct http *http = s->http;
	const struct http_run *run = http->run;
	uint64_t seq = run->base + i;
	int err = 0;

	if (!s->easy)
		s->easy = curl_easy_init();
	if (!s->easy || (s->made != http->runs && slot__configure(s, run)))
		return -ENOMEM;
	s->call = i;
	s->answer_bytes = s->answer.n = 0;
	s->sent = s->died = false;
	s->os_errno = 0;
	if (run->traceparent)
		snprintf(s->trace, sizeof(s->trace),
			 "traceparent: 00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-01",
			 http->traces[0], http->traces[1] + seq, seq + 1);
	if (!http_slot__has_body(run->method))
		return 0;
	if (run->masker) {
		aws_ids__make(&s->ids, run->seed, i);
		err = http_body__messages(&s->request, &s->ids, run->payload);
	} else {
		err = http_body__plain(&s->request, run->payload);
	}
	/* Not copied. */
	if (err || curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->request.p) ||
	    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->request.n))
		return -ENOMEM;
	return 0;
}

enum http_fate http_slot__judge(struct http_slot *s, CURLcode code, unsigned int *http_code)
{
	enum http_fate fate;
	long n = 0;

	*http_code = 0;
	if (s->died) /* what libcurl says now is that we refused the second attempt */
		return http_error__fate(CURLE_RECV_ERROR, s->os_errno);
	if (code != CURLE_OK) {
		curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &n);
		return http_error__fate(code, n);
	}
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &n);
	if (n < 100 || n >= HTTP_CODE_MAX)
		return HTTP_OTHER;
	*http_code = (unsigned int)n;
	fate = HTTP_ANSWERED;
	if (s->http->run->masker && n == 200 &&
	    http_body__check(&s->ids, s->answer.p, s->answer.n) != BODY_GOOD)
		fate = HTTP_BAD_BODY;
	if (s->answer.cap > ANSWER_KEEP)
		buffer__free(&s->answer);
	return fate;
}

void http_slot__free(struct http_slot *s)
{
	curl_easy_cleanup(s->easy);
	buffer__free(&s->request);
	buffer__free(&s->answer);
}
