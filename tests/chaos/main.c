/* chaos boss SEED SECONDS ADDRESS; what it starts are the other roles. */
// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/chaos/chaos.h"

int main(int argc, char **argv)
{
	const char *role = argc > 1 ? argv[1] : "";

	if (!strcmp(role, "boss"))
		return boss(argc - 2, argv + 2);
	if (argc < 3) {
		fprintf(stderr, "usage: chaos boss SEED SECONDS ADDRESS\n");
		return 2;
	}
	table_open();
	if (!strcmp(role, "server"))
		return server(atoi(argv[2]));
	if (!strcmp(role, "client"))
		return client(atoi(argv[2]));
	return argc > 3 && !strcmp(role, "resume") ? client_resume(argv + 2) : 2;
}
