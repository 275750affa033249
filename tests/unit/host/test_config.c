/* The option table: precedence of its sources, every type's bad values, the file, the help text. */
// SPDX-License-Identifier: MIT
#include "stack/host/config.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "stack/base/util.h"
#include "tests/unit/unit.h"

static struct config c;

static void setup(void)
{
	memset(&c, 0xa5, sizeof(c));
	config_init(&c);
}

static int args(char *const *argv, int *at, const char *const *others)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	*at = 0;
	return config_args(&c, argc, argv, at, others);
}
#define ARGS(...) args((char *[]){ __VA_ARGS__, NULL }, &(int){ 0 }, NULL)
#define ENV(...) config_env(&c, (char *[]){ __VA_ARGS__, NULL })

static int parse(const char *text) { return config_parse(&c, text, strlen(text), "f.conf"); }

START_TEST(every_default_is_valid_and_names_are_unique)
{
	for (int i = 0; i < CONFIG_COUNT; i++) {
		const struct config_info *o = &config_infos[i];

		ck_assert_msg(c.v[i].from == CONFIG_FROM_DEFAULT, "%s", o->name);
		ck_assert_str_eq(c.v[i].text, o->def);
		ck_assert_int_eq(strncmp(o->env, "FASTNET_", 8), 0);
		for (int j = 0; j < i; j++) {
			ck_assert_str_ne(o->name, config_infos[j].name);
			ck_assert_str_ne(o->env, config_infos[j].env);
		}
		/* FASTNET_ALLOW_UIDS is allow-uids */
		ck_assert_uint_eq(strlen(o->env), strlen(o->name) + 8);
		for (size_t k = 0; o->name[k]; k++) {
			char e = o->env[8 + k];

			ck_assert(e == '_' ? o->name[k] == '-' : (e | 32) == o->name[k]);
		}
	}
	ck_assert_uint_eq(config_num(&c, CONFIG_workers), 1);
	ck_assert_uint_eq(config_num(&c, CONFIG_memory), 256u << 20);
	ck_assert_uint_eq(config_num(&c, CONFIG_autostart), 1);
	ck_assert_uint_eq(config_num(&c, CONFIG_poll), 0);
}
END_TEST

START_TEST(command_line_beats_environment_beats_file_beats_default)
{
	ck_assert_int_eq(parse("workers = 2\nmtu=1400\nspin-us=7\n"), 0);
	ck_assert_int_eq(ENV("FASTNET_WORKERS=3", "FASTNET_MTU=1300", "PATH=/bin"), 0);
	ck_assert_int_eq(ARGS("--workers", "4"), 0);
	ck_assert_uint_eq(config_num(&c, CONFIG_workers), 4);
	ck_assert_uint_eq(config_num(&c, CONFIG_mtu), 1300);
	ck_assert_uint_eq(config_num(&c, CONFIG_spin_us), 7);
	ck_assert_int_eq(c.v[CONFIG_workers].from, CONFIG_FROM_ARGS);
}
END_TEST

START_TEST(order_of_reading_does_not_matter)
{
	ck_assert_int_eq(ARGS("--workers=4"), 0);
	ck_assert_int_eq(ENV("FASTNET_WORKERS=3", "FASTNET_MTU=1300"), 0);
	ck_assert_int_eq(parse("workers = 2\nmtu=1400\n"), 0);
	ck_assert_uint_eq(config_num(&c, CONFIG_workers), 4);
	ck_assert_uint_eq(config_num(&c, CONFIG_mtu), 1300);
}
END_TEST

START_TEST(repeated_ports_of_one_source_add_up)
{
	ck_assert_int_eq(ARGS("--port", "net_tap0,iface=a", "--port=net_tap1,iface=b"), 0);
	ck_assert_str_eq(config_str(&c, CONFIG_port), "net_tap0,iface=a;net_tap1,iface=b");
	ck_assert_int_eq(ENV("FASTNET_PORT=net_null0"), 0);
	ck_assert_str_eq(config_str(&c, CONFIG_port), "net_tap0,iface=a;net_tap1,iface=b");
}
END_TEST

START_TEST(arguments_stop_at_the_program_or_at_a_foreign_option)
{
	static const char *const own[] = { "json", NULL };
	int at;

	ck_assert_int_eq(args((char *[]){ "--mtu", "1400", "ls", "--mtu", NULL }, &at, NULL), 0);
	ck_assert_int_eq(at, 2);
	ck_assert_int_eq(args((char *[]){ "--mtu=1401", "--", "--mtu", NULL }, &at, NULL), 0);
	ck_assert_int_eq(at, 2);
	ck_assert_uint_eq(config_num(&c, CONFIG_mtu), 1401);
	ck_assert_int_eq(args((char *[]){ "--json", "--mtu=1", NULL }, &at, own), 0);
	ck_assert_int_eq(at, 0);
}
END_TEST

/* Each is refused with one line that names the option and what would be right. */
static const struct {
	const char *option, *value, *says;
} bad[] = {
	{ "--workers", "0", "from 1 to 16" },
	{ "--workers", "17", "from 1 to 16" },
	{ "--workers", "", "from 1 to 16" },
	{ "--workers", "-1", "from 1 to 16" },
	{ "--workers", "1x", "from 1 to 16" },
	{ "--workers", "99999999999999999999999", "from 1 to 16" },
	{ "--mtu", "9711", "from 0 to 9710" },
	{ "--memory", "31M", "a number" },
	{ "--memory", "256Q", "a number" },
	{ "--memory", "99999999999G", "a number" },
	{ "--memory", "256MM", "a number" },
	{ "--poll", "often", "adaptive|busy|sleep" },
	{ "--poll", "", "adaptive|busy|sleep" },
	{ "--poll", "adaptive|busy", "adaptive|busy|sleep" },
	{ "--autostart", "2", "one of 0|1" },
	{ "--addr", "10.0.0.2", "10.0.0.2/24" },
	{ "--addr", "10.0.0.2/33", "10.0.0.2/24" },
	{ "--addr", "10.0.0/24", "10.0.0.2/24" },
	{ "--addr", "10.0.0.2/24,", "10.0.0.2/24" },
	{ "--addr", ",10.0.0.2/24", "10.0.0.2/24" },
	{ "--addr", "0.0.0.0/0", "10.0.0.2/24" },
	{ "--addr", "224.0.0.1/4", "10.0.0.2/24" },
	{ "--addr", "fd00::1/129", "10.0.0.2/24" },
	{ "--addr", "10.0.0.2/24x", "10.0.0.2/24" },
	{ "--gateway", "router", "10.0.0.1" },
	{ "--addr", "::/0", "10.0.0.2/24" },
	{ "--addr", "ff02::1/64", "10.0.0.2/24" },
	{ "--addr", "::1/128", "10.0.0.2/24" },
	{ "--addr", "127.0.0.1/8", "10.0.0.2/24" },
	{ "--addr", "255.255.255.255/32", "10.0.0.2/24" },
	{ "--addr", "::ffff:10.0.0.2/120", "10.0.0.2/24" },
	{ "--addr", "::ffff:10.0.0.2/24", "10.0.0.2/24" },
	{ "--addr", "fd00::2", "fd00::2/64" },
	{ "--addr", "[fd00::2]/64", "fd00::2/64" },
	{ "--addr", "[fd00::2]:80", "fd00::2/64" },
	{ "--addr", "fe80::2%eth0/64", "fd00::2/64" },
	{ "--addr", "fd00::2::1/64", "fd00::2/64" },
	{ "--gateway", "10.0.0.1/24", "10.0.0.1" },
	{ "--gateway", "10.0.0.1:80", "10.0.0.1" },
	{ "--gateway", "[fd00::1]", "fd00::1" },
	{ "--gateway", "fd00::1/64", "fd00::1" },
	{ "--gateway", "::", "fd00::1" },
	{ "--gateway", "ff02::2", "fd00::1" },
	{ "--gateway", "::1", "fd00::1" },
	{ "--gateway", "fd00::1%eth0", "fe80::1%eth0" },
	{ "--gateway", "10.0.0.1%eth0", "fe80::1%eth0" },
	{ "--gateway", "fe80::1%", "fe80::1%eth0" },
	{ "--gateway", "fe80::1%a-name-that-no-interface-of-this-world-has", "fe80::1%eth0" },
	{ "--cpus", "1-", "a list of CPUs" },
	{ "--cpus", "3-1", "a list of CPUs" },
	{ "--cpus", "one", "a list of CPUs" },
	{ "--cpus", "1024", "a list of CPUs" },
	{ "--allow-uids", "nobody", "a list of numbers" },
	{ "--low-ports", "4294967296", "a list of numbers" },
	{ "--hugepages", "maybe", "auto|on|off" },
	{ "--quota-sockets", "0", "from 1 to" },
	{ "--wrokers", "1", "unknown option '--wrokers'" },
	{ "--", NULL, NULL },
};

START_TEST(bad_values_are_refused_in_one_line)
{
	if (!bad[_i].value)
		return;
	ck_assert_int_eq(ARGS((char *)bad[_i].option, (char *)bad[_i].value), -EINVAL);
	ck_assert_msg(strstr(c.err, bad[_i].says), "%s", c.err);
	ck_assert_msg(!strchr(c.err, '\n'), "%s", c.err);
}
END_TEST

START_TEST(an_option_without_its_value_is_refused)
{
	ck_assert_int_eq(ARGS("--workers"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(c.err, "needs a value"));
}
END_TEST

START_TEST(the_message_names_the_source)
{
	ck_assert_int_eq(ENV("FASTNET_POLL=x"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(c.err, "environment variable FASTNET_POLL"));
	ck_assert_int_eq(ARGS("--poll=x"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(c.err, "(command line)"));
	ck_assert_int_eq(parse("\n\npoll = x\n"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(c.err, ":3)"));
}
END_TEST

START_TEST(a_newline_in_a_value_does_not_make_a_second_line)
{
	ck_assert_int_eq(ARGS("--poll", "x\nfastnetd: all is well"), -EINVAL);
	ck_assert_ptr_null(strchr(c.err, '\n'));
}
END_TEST

START_TEST(a_value_that_does_not_fit_is_refused)
{
	char *big = malloc(2000);

	memset(big, 'a', 1999);
	big[1999] = 0;
	ck_assert_int_eq(ARGS("--port", big), -EINVAL);
	ck_assert_ptr_nonnull(strstr(c.err, "too long"));
	free(big);
}
END_TEST

START_TEST(file_has_comments_blanks_one_section_and_windows_line_ends)
{
	ck_assert_int_eq(parse("# comment\n; another\n\n [fastnet] \r\n  mtu\t=  1400 \r\n"
			       "port=net_tap0,iface=x\nsocket =\nlog=warn,tcp=debug"), 0);
	ck_assert_uint_eq(config_num(&c, CONFIG_mtu), 1400);
	ck_assert_str_eq(config_str(&c, CONFIG_port), "net_tap0,iface=x");
	ck_assert_str_eq(config_str(&c, CONFIG_socket), "");
	ck_assert_str_eq(config_str(&c, CONFIG_log), "warn,tcp=debug");
}
END_TEST

static const struct {
	const char *text, *says;
} bad_file[] = {
	{ "[ports]\n", "unknown section" },
	{ "mtu 1400\n", "no '='" },
	{ "\nmtoo = 1400\n", "f.conf:2: unknown option 'mtoo'" },
	{ "config = /other\n", "unknown option 'config'" },
	{ "= 3\n", "unknown option ''" },
	{ "mtu = 1\tx\n", "from 0 to 9710" },
};

START_TEST(bad_files_are_refused_with_their_line)
{
	ck_assert_int_eq(parse(bad_file[_i].text), -EINVAL);
	ck_assert_msg(strstr(c.err, bad_file[_i].says), "%s", c.err);
}
END_TEST

START_TEST(a_line_that_is_not_text_is_refused)
{
	ck_assert_int_eq(config_parse(&c, "mtu\0=3", 6, "f"), -EINVAL);
	char *big = calloc(1, 5000);
	memset(big, 'a', 4999);
	ck_assert_int_eq(parse(big), -EINVAL);
	free(big);
}
END_TEST

START_TEST(a_missing_file_matters_only_if_somebody_named_it)
{
	char path[] = "/tmp/fastnet-test-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "mtu=1234\n", 9), 9);
	close(fd);
	ck_assert_int_eq(ARGS("--config", path), 0);
	ck_assert_int_eq(config_file(&c), 0);
	ck_assert_uint_eq(config_num(&c, CONFIG_mtu), 1234);
	unlink(path);
	ck_assert_int_eq(config_file(&c), -ENOENT);
	ck_assert_ptr_nonnull(strstr(c.err, path));
	config_init(&c);
	snprintf(c.v[CONFIG_config].text, CONFIG_TEXT_MAX, "%s", path);
	ck_assert_int_eq(config_file(&c), 0);
}
END_TEST

START_TEST(a_directory_is_not_a_file)
{
	ck_assert_int_eq(ARGS("--config", "/tmp"), 0);
	ck_assert_int_lt(config_file(&c), 0);
	ck_assert_ptr_nonnull(strstr(c.err, "/tmp"));
}
END_TEST

START_TEST(prefixes_are_read_as_128_bit_lengths)
{
	const char *p = "10.77.0.2/24,fd00::2/64;10.78.0.2/16";
	struct ipaddr a;
	uint8_t plen;

	ck_assert(config_next_prefix(&p, &a, &plen));
	ck_assert_uint_eq(ipaddr_get_v4(&a), 0x0a4d0002);
	ck_assert_uint_eq(plen, 120);
	ck_assert(config_next_prefix(&p, &a, &plen));
	ck_assert(!ipaddr_is_v4(&a));
	ck_assert_uint_eq(plen, 64);
	ck_assert_int_eq(*p, ';');
	ck_assert_int_eq(ARGS("--addr", "10.77.0.2/24,fd00::2/64;10.78.0.2/16"), 0);
}
END_TEST

START_TEST(a_gateway_of_the_link_may_name_its_port)
{
	const char *p = "10.0.0.1,fe80::1%eth0,fd00::1";
	char zone[CONFIG_ZONE_MAX];
	struct ipaddr a;

	ck_assert(config_next_gateway(&p, &a, zone));
	ck_assert_uint_eq(ipaddr_get_v4(&a), 0x0a000001);
	ck_assert_str_eq(zone, "");
	ck_assert(config_next_gateway(&p, &a, zone));
	ck_assert(ipaddr_is_link_local(&a));
	ck_assert_str_eq(zone, "eth0");
	ck_assert(config_next_gateway(&p, &a, zone));
	ck_assert(!ipaddr_is_v4(&a));
	ck_assert_str_eq(zone, "");
	ck_assert_int_eq(*p, 0);
	ck_assert_int_eq(ARGS("--gateway", "10.0.0.1,fe80::1%net_af_xdp0"), 0);
}
END_TEST

START_TEST(id_lists_know_all_root_numbers_and_ranges)
{
	ck_assert(config_id_listed("all", 12345));
	ck_assert(config_id_listed("root", 0));
	ck_assert(!config_id_listed("root", 1));
	ck_assert(config_id_listed("33,1000-1999", 33));
	ck_assert(config_id_listed("33,1000-1999", 1999));
	ck_assert(!config_id_listed("33,1000-1999", 2000));
	ck_assert(!config_id_listed("", 0));
}
END_TEST

START_TEST(printed_configuration_reads_back_as_the_same)
{
	static struct config again;
	char *text;
	size_t n;

	ck_assert_int_eq(
		ARGS("--port=net_null0", "--addr=10.0.0.2/24", "--memory=1G", "--poll=busy"), 0);
	FILE *f = open_memstream(&text, &n);
	config_print(&c, f);
	fclose(f);
	config_init(&again);
	ck_assert_int_eq(config_parse(&again, text, n, "printed"), 0);
	for (int i = 0; i < CONFIG_COUNT; i++) {
		ck_assert_str_eq(c.v[i].text, again.v[i].text);
		ck_assert_uint_eq(c.v[i].num, again.v[i].num);
	}
	free(text);
}
END_TEST

START_TEST(help_names_every_option_and_stays_narrow)
{
	char *text;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	config_help(f);
	fclose(f);
	for (int i = 0; i < CONFIG_COUNT; i++) {
		char name[64];

		snprintf(name, sizeof(name), "  --%s ", config_infos[i].name);
		ck_assert_msg(strstr(text, name), "%s", name);
		ck_assert_msg(strstr(text, config_infos[i].env), "%s", config_infos[i].env);
	}
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		ck_assert_msg(strlen(line) <= 100, "%s", line);
	free(text);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, every_default_is_valid_and_names_are_unique);
	tcase_add_test(tc, command_line_beats_environment_beats_file_beats_default);
	tcase_add_test(tc, order_of_reading_does_not_matter);
	tcase_add_test(tc, repeated_ports_of_one_source_add_up);
	tcase_add_test(tc, arguments_stop_at_the_program_or_at_a_foreign_option);
	tcase_add_loop_test(tc, bad_values_are_refused_in_one_line, 0, ARRAY_LEN(bad));
	tcase_add_test(tc, an_option_without_its_value_is_refused);
	tcase_add_test(tc, the_message_names_the_source);
	tcase_add_test(tc, a_newline_in_a_value_does_not_make_a_second_line);
	tcase_add_test(tc, a_value_that_does_not_fit_is_refused);
	tcase_add_test(tc, file_has_comments_blanks_one_section_and_windows_line_ends);
	tcase_add_loop_test(tc, bad_files_are_refused_with_their_line, 0, ARRAY_LEN(bad_file));
	tcase_add_test(tc, a_line_that_is_not_text_is_refused);
	tcase_add_test(tc, a_missing_file_matters_only_if_somebody_named_it);
	tcase_add_test(tc, a_directory_is_not_a_file);
	tcase_add_test(tc, prefixes_are_read_as_128_bit_lengths);
	tcase_add_test(tc, a_gateway_of_the_link_may_name_its_port);
	tcase_add_test(tc, id_lists_know_all_root_numbers_and_ranges);
	tcase_add_test(tc, printed_configuration_reads_back_as_the_same);
	tcase_add_test(tc, help_names_every_option_and_stays_narrow);
	return unit_run("host/config", tc);
}
