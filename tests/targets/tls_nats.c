// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* tls_nats URL SUBJECT N: asks a responder of its own N times over TLS, with nats.c. */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>

static void on_request(natsConnection *c, natsSubscription *s, natsMsg *m, void *ctx)
{
	(void)s, (void)ctx;
	natsConnection_PublishString(c, natsMsg_GetReply(m), "pong");
	natsMsg_Destroy(m);
}

static natsConnection *connected(const char *url)
{
	natsConnection *c = NULL;
	natsOptions *o = NULL;
	natsStatus s;

	natsOptions_Create(&o);
	natsOptions_SetURL(o, url);
	natsOptions_SetSecure(o, true);
	natsOptions_SkipServerVerification(o, true);
	natsOptions_SetSendAsap(o, true);
	s = natsConnection_Connect(&c, o);
	natsOptions_Destroy(o);
	if (s) {
		fprintf(stderr, "%s: %s\n", url, natsStatus_GetText(s));
		exit(1);
	}
	return c;
}

int main(int argc, char **argv)
{
	natsConnection *asker, *responder;
	natsSubscription *s;
	int n, ok = 0;

	if (argc != 4)
		return 2;
	n = atoi(argv[3]);
	asker = connected(argv[1]);
	responder = connected(argv[1]);
	natsConnection_Subscribe(&s, responder, argv[2], on_request, NULL);
	natsConnection_Flush(responder);
	for (int i = 0; i < n; i++) {
		natsMsg *m = NULL;

		ok += !natsConnection_RequestString(&m, asker, argv[2], "ping", 5000);
		natsMsg_Destroy(m);
	}
	printf("{\"ok\":%d}\n", ok);
	natsConnection_Destroy(asker);
	natsConnection_Destroy(responder);
	return 0;
}
