//go:build unix

package cmd_test

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/sshtest"
)

// script runs one of scripts/ and returns its exit status. dir, if not "",
// comes first in PATH.
func script(t *testing.T, home, dir, stdin, name string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "scripts", name))
	if err != nil {
		t.Fatal(err)
	}
	cmd := sshtest.Command(t, home, "sh", append([]string{path}, args...)...)
	cmd.Env = append(cmd.Env, "PATH="+dir+":"+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// ansible prepares one of Ansible's programs, which want a locale of UTF-8.
func ansible(t *testing.T, home, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := sshtest.Command(t, home, name, args...)
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8")
	return cmd
}

// destinations are what the programs make of a host list: "!" for a line that
// becomes a record target-invalid.
func destinations(t *testing.T, list string) []string {
	t.Helper()
	var got []string
	for line, err := range destination.Lines(strings.NewReader(list)) {
		switch {
		case err != nil:
			t.Fatal(err)
		case line.Err != nil:
			got = append(got, "!")
		default:
			got = append(got, line.Destination.String())
		}
	}
	return got
}

// What avahi-browse 0.8 -lptr and then -ptr printed of an avahi-daemon with two
// service files, one of them with a static host of /etc/avahi/hosts; the last
// lines are of nobody's.
const avahiOutput = `+;e0;IPv6;Bob\226\128\153s\032\\\032Pi\059\032\091kitchen\093\032a\.b;SSH Remote Terminal;local
+;lo;IPv4;shed\032\061\032\091x\093;SSH Remote Terminal;local
=;e0;IPv6;Bob\226\128\153s\032\\\032Pi\059\032\091kitchen\093\032a\.b;SSH Remote Terminal;local;kitchen.local;fe80::b45f:1fff:fee9:6fa5;22;"a=b;c \"d\" \\ e"
=;e0;IPv4;Bob\226\128\153s\032\\\032Pi\059\032\091kitchen\093\032a\.b;SSH Remote Terminal;local;kitchen.local;10.9.0.1;22;"a=b;c \"d\" \\ e"
=;e0;IPv4;shed\032\061\032\091x\093;SSH Remote Terminal;local;k\195\188che.local;10.9.0.7;2222;
=;e1;IPv4;shed\032\061\032\091x\093;SSH Remote Terminal;local;k\195\188che.local;10.9.0.7;2222;
=;lo;IPv4;Bob\226\128\153s\032\\\032Pi\059\032\091kitchen\093\032a\.b;SSH Remote Terminal;local;us.local;127.0.0.1;22;
=;e1;IPv6;six;SSH Remote Terminal;local;six.local;fe80::2;2200;
=;e1;IPv6;six;SSH Remote Terminal;local;six.local;2001:db8::6;2200;
=;e1;IPv6;far;SSH Remote Terminal;local;far.local;fe80::3;22;
=;e0;IPv4;evil;SSH Remote Terminal;local;-oProxyCommand\061x\009y\010z;10.9.0.9;22;
=;e0;garbage
`

func TestHostsFrom(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "busybox")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	small := t.TempDir()
	if err := os.Symlink(busybox, filepath.Join(small, "awk")); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for name, content := range map[string]string{
		"config": "Include config.d/*.conf \"~/.ssh/more one\" ~/.ssh/nosuch\nInclude loop\n" +
			"Host kitchen *.lab \"shed pi\" 'attic' !attic   cellar # comment\n  HostName 10.0.0.1\n" +
			"HOST=eq\nhost = eq2 eq3\nHost a?c plain !pl*  bob\\ x !\n  Host \"q#x\" y#z\nMatch host no\n  User x\n" +
			"Host \"\" -oEvil {j\nHostname bad\n#Host no\n",
		"config.d/a.conf": "Host fromconf",
		"more one":        "Host \"quoted\" kitchen\n",
		"loop":            "Include loop\nHost inloop\n",
	} {
		path := filepath.Join(home, ".ssh", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// dnsmasq 2.90 wrote the first two and the duid of two clients; the others have
	// what else its lease.c can write, and what it does not.
	const leases = "1795882557 b8:27:eb:12:34:56 192.168.9.39 kitchenpi 01:b8:27:eb:12:34:56\n" +
		"1795882562 dc:a6:32:00:00:01 192.168.9.31 * 01:dc:a6:32:00:00:01\n0 06-aa:bb 192.168.1.22 static ff:00\n" +
		"1795900001 dc:a6:32:00:00:02 192.168.1.23 -x *\n" +
		"duid 00:01:00:01:32:9d:ac:a9:02:00:00:00:00:01\n1795900002 1234567 fd00::20 kitchenpi 00:01:00:01\n" +
		"1795900003 T99 fd00::99 kitchenpi 00:01\n1795900004 77 fd00::21 * 00:01\njunk line here\n"
	for _, tt := range []struct {
		name, args, list string
		want             []string
		note             string // what is said of what is left out
	}{
		{"pssh", "pssh", "\ufeff# comment\npi@10.0.0.1\r\n10.0.0.2:2222 root  # trailing\n10.0.0.2:2222\troot\nhost three words\n" +
			"a@b c\n-oProxyCommand=x\n{json}\n\nLAB\\pi@dc\n$(touch x)\n",
			[]string{"pi@10.0.0.1", "root@10.0.0.2:2222", "!", "!", "!", "!", `LAB\pi@dc`, "!"}, ""},
		{"parallel", "parallel", "server.example.com\nme@server2\n8/eight\n2/me@dualcore\n# comment\nssh -p 2222 server\n" +
			"4/ssh -p 2222 quad\nmyssh -p 2222 -l me hexa\n6//usr/local/bin/myssh -p2222 -lme six\n16/:\n:\n@group1/server1\n" +
			"@group1+group2/me@server2\n@group1/4/ssh -p 2222 server3\na,b , ssh -J x,,y -p 5 c\n2001:db8::1p80\n[2001:db8::1]:80\n" +
			"me@2001:db8::2\n..\n@only\n9/-oProxyCommand=x\n",
			[]string{"server.example.com", "me@server2", "eight", "me@dualcore", "server:2222", "quad:2222", "me@hexa:2222", "me@six:2222",
				"server1", "server3:2222", "a", "b", "c:5", "[2001:db8::1]:80", "me@2001:db8::2", "!"}, "options of ssh are left out, put them into ssh_config: -J x,y\n"},
		{"parallel with a password", "parallel", "u:secret@pw:99\n", []string{"u@pw:99"}, "a password beside pw:99 is left out"},
		{"avahi", "avahi", avahiOutput, []string{"kitchen.local", "küche.local:2222", "six.local:2200", "far.local", "!", "!"}, ""},
		{"avahi addresses", "avahi -a", avahiOutput, []string{"!", "10.9.0.1", "10.9.0.7:2222", "[2001:db8::6]:2200", "fe80::3%e1", "10.9.0.9"}, ""},
		{"dnsmasq", "dnsmasq", leases, []string{"kitchenpi", "192.168.9.31", "static", "!", "fd00::21", "!"}, ""},
		{"dnsmasq addresses", "dnsmasq -a", leases, []string{"192.168.9.39", "192.168.9.31", "192.168.1.22", "192.168.1.23", "fd00::20", "fd00::21", "!"}, ""},
		{"ssh_config", "ssh_config", "", []string{"fromconf", "quoted", "kitchen", "inloop", "!", "cellar", "eq", "eq2", "eq3", "!", "!", "!", "!", "!"}, ""},
	} {
		for which, dir := range map[string]string{"awk": "", "busybox": small} {
			t.Run(tt.name+" by "+which, func(t *testing.T) {
				list, stderr, status := script(t, home, dir, tt.list, "hosts-from", strings.Fields(tt.args)...)
				if got := destinations(t, list); status != 0 || !slices.Equal(got, tt.want) {
					t.Errorf("status %d, %q, want %q", status, got, tt.want)
				}
				if !strings.Contains(stderr, tt.note) || tt.note == "" && stderr != "" || strings.Contains(list+stderr, "secret") {
					t.Errorf("said %q", stderr)
				}
				if at := strings.IndexFunc(list+stderr, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }); at >= 0 {
					t.Errorf("a byte for no terminal: %q", list+stderr)
				}
			})
		}
	}

	list, _, _ := script(t, home, "", leases, "hosts-from", "dnsmasq")
	if !strings.Contains(list, "kitchenpi 192.168.9.39 b8:27:eb:12:34:56\n") {
		t.Errorf("nothing to look for: %s", list)
	}
	for _, args := range [][]string{{}, {"nosuch"}, {"ansible"}, {"pssh", "nosuch"}, {"pssh", "/"}, {"pssh", "a", "b"}, {"avahi", "-x"}, {"ssh_config", "nosuch"}} {
		if list, stderr, status := script(t, home, "", "host\n", "hosts-from", args...); status != 2 || list != "" || stderr == "" {
			t.Errorf("%q: status %d, %q, %q", args, status, list, stderr)
		}
	}
}

// A list is passed on while it goes on.
func TestHostsFromDoesNotWait(t *testing.T) {
	cmd := sshtest.Command(t, t.TempDir(), "sh", filepath.Join(root, "scripts", "hosts-from"), "avahi")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for _, host := range []string{"a.local", "b.local"} {
		fmt.Fprintf(in, "=;e0;IPv4;a;SSH;local;%s;10.9.0.1;22;\n", host)
		if line, err := lines.ReadString('\n'); !strings.HasPrefix(line, host+" ") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

const inventory = `
all:
  children:
    pis:
      vars: {ansible_user: pi}
      children:
        kitchen:
          hosts:
            kitchenpi: {ansible_host: 192.0.2.10, ansible_port: 2222}
            stove: {ansible_host: stove.local}
        shed:
          hosts:
            shedpi: {ansible_host: "2001:db8::7", ansible_connection: ansible.builtin.ssh}
            shedpi6: {ansible_host: "fe80::1%eth0", ansible_port: "2200"}
    rest:
      hosts:
        desk: {ansible_connection: local}
        box: {ansible_connection: community.docker.docker}
        old: {ansible_ssh_host: old.lab, ansible_host: new.lab, ansible_ssh_user: root, ansible_ssh_port: 22}
        plain.lab:
        domain: {ansible_user: 'LAB\tim'}
        template: {ansible_host: "{{ inventory_hostname }}.lab"}
        evil: {ansible_host: "-oProxyCommand=touch x"}
        evil2: {ansible_host: "a\nb"}
        vault:
          ansible_user: !vault |
            $ANSIBLE_VAULT;1.1;AES256
            333639653262613032346264636239633335663831386561643933
    same:
      hosts:
        stove:
        stove2: {ansible_host: stove.local, ansible_user: pi}
`

func TestHostsFromAnsible(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	path := filepath.Join(home, "inventory.yml")
	if err := os.WriteFile(path, []byte(inventory), 0o600); err != nil {
		t.Fatal(err)
	}
	listed, err := ansible(t, home, "ansible-inventory", "-i", path, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		groups string
		want   []string
	}{
		{"kitchen", []string{"pi@192.0.2.10:2222", "pi@stove.local"}},
		{"shed stove kitchenpi", []string{"pi@2001:db8::7", "pi@[fe80::1%eth0]:2200", "pi@stove.local", "pi@192.0.2.10:2222"}},
		{"pis same", []string{"pi@192.0.2.10:2222", "pi@stove.local", "pi@2001:db8::7", "pi@[fe80::1%eth0]:2200"}},
		{"rest", []string{"root@old.lab:22", "plain.lab", `LAB\tim@domain`, "!", "!", "!", "!"}},
	} {
		list, stderr, status := script(t, home, "", string(listed), "hosts-from", append([]string{"ansible"}, strings.Fields(tt.groups)...)...)
		if got := destinations(t, list); status != 0 || !slices.Equal(got, tt.want) {
			t.Errorf("%s: status %d, %q, want %q", tt.groups, status, got, tt.want)
		}
		for _, note := range []string{"desk: not by SSH", "box: not by SSH", "template: Ansible alone can tell its ansible_host:", "vault: Ansible alone can tell its ansible_user:"} {
			if tt.groups == "rest" && (strings.Count(stderr, "\n") != 4 || !strings.Contains(stderr, note)) {
				t.Errorf("no %q in %s", note, stderr)
			}
		}
	}
	if list, _, _ := script(t, home, "", string(listed), "hosts-from", "ansible"); len(destinations(t, list)) != 11 {
		t.Errorf("all are\n%s", list)
	}
	for _, in := range []string{string(listed), "[1]", "{", `{"_meta":[]}`, ""} {
		if list, stderr, status := script(t, home, "", in, "hosts-from", "ansible", "nosuch"); status != 2 || list != "" || strings.Count(stderr, "\n")-strings.Count(stderr, "hint: ansible-inventory ") != 1 {
			t.Errorf("status %d, %q, %q", status, list, stderr)
		}
	}
}

const outcomesOfRun = `pi@kitchen	done	key-added	SHA256:x	/home/pi/.ssh/authorized_keys
pi@kitchen	ok	login	SHA256:x	on a fresh connection
shed:2222	ok	login	SHA256:x	-
pi@gw:2201	ok	login	SHA256:x	-
pi@gw:2202	fail	home-writable	/home/pi	-
root@gw	todo	key-added	-	-
LAB\\tim@dc	ok	login	SHA256:x	-
None@n	ok	login	SHA256:x	-
1_000@n2	ok	login	SHA256:x	-
a@b@n3	ok	login	SHA256:x	-
pi@[2001:db8::1]:22	ok	login	SHA256:x	-
fe80::1%eth0	ok	login	SHA256:x	-
u@fe80::1%eth0	ok	login	SHA256:x	-
ssh://pi@uri:22/	ok	login	SHA256:x	-
küche.local	ok	login	SHA256:x	-
[pi.local]:2222	ok	login	SHA256:x	-
pi-1+2	ok	login	SHA256:x	-
all	ok	login	SHA256:x	-
pi@login:2200	ok	login	SHA256:x	-
`

// What is written from records, ssh and Ansible read as the same targets.
func TestRecordsTo(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	var targets []string
	for _, target := range destinations(t, outcomesOfRun) {
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	write := func(format, input string, want int) (path, stderr string) {
		out, stderr, status := script(t, home, "", input, "records-to", format)
		if status != want {
			t.Fatalf("%s: status %d, want %d: %s", format, status, want, stderr)
		}
		path = filepath.Join(home, format)
		if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		return path, stderr
	}

	t.Run("ssh_config", func(t *testing.T) {
		path, _ := write("ssh_config", outcomesOfRun, 0)
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		names, _, _ := script(t, home, "", "", "hosts-from", "ssh_config", path)
		var got, want []string
		for _, target := range targets {
			d, err := destination.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintln(cmp.Or(d.User, me.Username), d.Host, cmp.Or(d.Port, 22)))
		}
		for _, name := range destinations(t, names) {
			out, err := sshtest.Command(t, home, "ssh", "-F", path, "-G", "--", name).Output()
			if err != nil {
				t.Fatalf("ssh -G %s: %v", name, err)
			}
			value := func(keyword string) string {
				return regexp.MustCompile(`(?m)^` + keyword + ` (.*)$`).FindStringSubmatch(string(out))[1]
			}
			got = append(got, fmt.Sprintln(value("user"), value("hostname"), value("port")))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want\n%q", got, want)
		}
	})
	t.Run("ansible", func(t *testing.T) {
		path, _ := write("ansible", outcomesOfRun, 0)
		listed, err := ansible(t, home, "ansible-inventory", "-i", path, "--list").Output()
		if err != nil {
			t.Fatal(err)
		}
		for group, want := range map[string][]string{
			"login": slices.Concat(targets[:3], targets[5:]),
			"fail":  {"pi@gw:2202"},
			"todo":  {"root@gw"},
			"done":  {"pi@kitchen"},
			"ok":    slices.Concat(targets[1:3], targets[5:]),
		} {
			list, _, _ := script(t, home, "", string(listed), "hosts-from", "ansible", group)
			if got := destinations(t, list); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", group, got, want)
			}
		}
	})
	for _, format := range []string{"ansible", "ssh_config"} {
		// Records of what somebody else has made up, and none at all.
		const evil = "-oProxyCommand=x\tfail\ttarget-invalid\t-\t-\n" + `x\n[all]` + "\tok\tlogin\t-\t-\n$(x)@h\tok\tlogin\t-\t-\n" +
			"a b\tok\tlogin\t-\t-\nh#x\tok\tlogin\t-\t-\n{{x}}\n#c\tok\tlogin\t-\t-\np%h@h\tok\tlogin\t-\t-\n\x1b]0;x\tok\tlogin\t-\t-\njunk\n" +
			"*\tok\tlogin\t-\t-\nx\tok\tlogin\t-\nh1\tnot\tlogin\t-\t-\n" + `"q"` + "\tok\tlogin\t-\t-\n"
		path, stderr := write(format, strings.Replace(evil, "{{x}}\n", "", 1)+"-\tok\tmodes\t-\t-\ngood\tok\tlogin\t-\t-\n", 1)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Fields(string(data)); slices.ContainsFunc(got, func(word string) bool {
			return !slices.Contains([]string{"Host", "good", "[login]", "[ok]", "[done]", "[todo]", "[fail]"}, word)
		}) || !slices.Contains(got, "good") {
			t.Errorf("%s: %q", format, got)
		}
		if strings.Count(stderr, "left out") != 13 || strings.Contains(stderr, "\x1b") {
			t.Errorf("%q", stderr)
		}
		if _, stderr := write(format, `{"v":1,"target":"h","verdict":"ok"}`, 2); !strings.Contains(stderr, "hint: jq ") {
			t.Errorf("%q", stderr)
		}
		if _, stderr := write(format, "", 2); !strings.Contains(stderr, "no record") {
			t.Errorf("%q", stderr)
		}
		write(format, "a-h\tok\tlogin\t-\t-\na@h\tok\tlogin\t-\t-\nb@h\tok\tlogin\t-\t-\n", 1) // two of a name
	}
}

// The examples of pi-key-tools(7) INVENTORIES, as they stand there.
func TestInventoryExamples(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ansible", "parallel", "ssh")
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	me := newTraveller(t, pi.Endpoint)
	public, _ := me.run(0, "", "pikeygen")
	me.run(0, public, "pikeycopy", "-i", "-", "--password-file", me.file("pw", pi.Password+"\n"), "-l", "pi", pi.Addr)
	host, port, _ := strings.Cut(pi.Addr, ":")
	me.file(".ssh/config", fmt.Sprintf("Host kitchen\nHost *\n  HostName %s\n  Port %s\n  User pi\n", host, port))
	me.file("pis.csv", "name,user,password\r\nkitchen,pi,"+pi.Password+"\r\n")
	me.file("hosts.txt", "kitchen pi\n")
	me.file("sshloginfile", "4/pi@kitchen\n")
	me.file("pis", "pi@kitchen\n")
	me.file("leases", "1795900000 b8:27:eb:12:34:56 192.168.1.20 kitchen *\n1795900000 00:27:eb:12:34:56 192.168.1.21 desk *\n")
	me.file("ansible.cfg", "[defaults]\ninventory = hosts.ini\n")
	me.file("hosts.ini", "[kitchen]\nkitchenpi ansible_user=pi\nboth\n[shed]\nboth\n")
	me.file("avahi", "=;e0;IPv4;a;SSH Remote Terminal;local;kitchen.local;10.9.0.1;22;\n")
	me.program("avahi-browse", "cat avahi")
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	// The controllers are this machine.
	me.program("ssh", `case " $* " in *" -G "*) exec `+ssh+` "$@" ;; esac; while [ "$1" != -- ]; do shift; done; shift; SHELL=/bin/sh exec sh -c "$*"`)
	scripts, err := filepath.Abs(filepath.Join(root, "scripts"))
	if err != nil {
		t.Fatal(err)
	}
	examples := examplesOf(readFile(t, "man/pi-key-tools.7"), "INVENTORIES")
	logins := 0
	for _, text := range examples {
		if strings.HasPrefix(text, "ansible-playbook ") { // TestAnsibleRole
			continue
		}
		text = strings.ReplaceAll(text, "/var/lib/misc/dnsmasq.leases", "leases")
		cmd := sshtest.Command(t, me.home, "sh", "-ec", text)
		cmd.Dir = me.home
		cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8", "PATH="+strings.Join([]string{me.home, binaries(t), scripts, os.Getenv("PATH")}, ":"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%v\n%s", text, err, out)
		}
		logins += strings.Count(string(out), "\tok\tlogin\t")
	}
	if len(examples) != 9 || logins != 10 {
		t.Errorf("%d examples, %d logins", len(examples), logins)
	}
	for name, want := range map[string]string{"inventory": "\n[login]\nkitchen\n", "pis.conf": "Host kitchen\n    User pi\n"} {
		if data, err := os.ReadFile(filepath.Join(me.home, name)); err != nil || !strings.Contains(string(data), want) {
			t.Errorf("%s: %v\n%s", name, err, data)
		}
	}
}
