/* Linked statically, so that nothing can be preloaded: echoes what it reads at the number given, until the
 * end. */
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc > 1 ? atoi(argv[1]) : 0;
	char buf[256];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			return 2;
	return n == 0 ? 6 : 1;
}
