// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * requests URL N [URL2]: N requests through a NATS server, each answered by this program itself,
 * which is there connected to another server of the cluster, where one is named.
 */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>

static void answer(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	(void)sub;
	(void)closure;
	natsConnection_Publish(nc, natsMsg_GetReply(msg), natsMsg_GetData(msg),
			       natsMsg_GetDataLength(msg));
	natsMsg_Destroy(msg);
}

static natsStatus connect_to(natsConnection **nc, const char *url)
{
	natsOptions *opts = NULL;
	natsStatus s = natsOptions_Create(&opts);

	s = s ? s : natsOptions_SetURL(opts, url);
	s = s ? s : natsOptions_SetSendAsap(opts, true);
	s = s ? s : natsConnection_Connect(nc, opts);
	natsOptions_Destroy(opts);
	return s;
}

int main(int argc, char **argv)
{
	natsConnection *asks = NULL, *answers = NULL;
	natsSubscription *sub = NULL;
	natsMsg *msg = NULL;
	natsStatus s;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: requests URL N [URL2]\n");
		return 2;
	}
	s = connect_to(&answers, argv[argc == 4 ? 3 : 1]);
	s = s ? s : natsConnection_Subscribe(&sub, answers, "bench.svc", answer, NULL);
	s = s ? s : natsConnection_Flush(answers);
	s = s ? s : connect_to(&asks, argv[1]);
	/* Until a server knows what is subscribed to at another one. */
	for (int tries = 100; !s && tries; tries--) {
		natsStatus asked = natsConnection_RequestString(&msg, asks, "bench.svc", "", 5000);

		natsMsg_Destroy(msg);
		msg = NULL;
		if (asked != NATS_NO_RESPONDERS)
			break;
		nats_Sleep(50);
	}
	for (int i = atoi(argv[2]); i > 0 && !s; i--) {
		s = natsConnection_RequestString(&msg, asks, "bench.svc", "hello", 5000);
		natsMsg_Destroy(msg);
		msg = NULL;
	}
	if (s)
		fprintf(stderr, "requests: %s\n", natsStatus_GetText(s));
	natsSubscription_Destroy(sub);
	natsConnection_Destroy(asks);
	natsConnection_Destroy(answers);
	nats_Close();
	return s ? 1 : 0;
}
