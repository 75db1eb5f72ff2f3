// Command logbench makes a log like that of a host that stands in the internet,
// and reads one with pkg/sshdlog, for scripts/logbench/run.
//
//	logbench make BYTES [json | machine]   to standard output, as rsyslog or as journalctl -o json writes it, or one of all programs of a machine
//	logbench read [FILE]         the refusals, counted; from standard input without FILE
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"pi-key-tools/pkg/sshdlog"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) >= 2 && args[0] == "make":
		var size int
		if size, err = strconv.Atoi(args[1]); err == nil {
			err = makeLog(os.Stdout, size, append(args, "")[2])
		}
	case len(args) == 1 && args[0] == "read":
		err = readLog(os.Stdin)
	case len(args) == 2 && args[0] == "read":
		var f *os.File
		if f, err = os.Open(args[1]); err == nil {
			err = readLog(f)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: logbench make BYTES [json | machine] | read [FILE]")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "logbench:", err)
		os.Exit(2)
	}
}

// readLog counts as pikeyfix --log does, and tells the memory that it took.
func readLog(r io.Reader) error {
	var c sshdlog.Counter
	stats, err := c.AddLog(r, sshdlog.Refusal)
	if err != nil {
		return err
	}
	modes := 0
	for _, e := range c.All() {
		switch e.Name {
		case "bad-modes-dir", "bad-modes-file":
			modes += e.Times
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("%d bad modes; %d lines, %d known, %d unknown, %d foreign; %d kept, left out %v; %d MB from the system\n", modes,
		stats.Lines, stats.Known, stats.Unknown, stats.Foreign, len(c.All()), c.LeftOut(), m.Sys>>20)
	return nil
}

// A share is a line of a log, and how many of a thousand are such lines. U is
// replaced by a user's name, A by an address, P by a port.
type share struct {
	n       int
	program string
	message string
}

var attacked = []share{
	{120, "sshd", "Invalid user U from A port P"},
	{60, "sshd", "pam_unix(sshd:auth): check pass; user unknown"},
	{130, "sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=A "},
	{90, "sshd", "Failed password for invalid user U from A port P ssh2"},
	{110, "sshd", "Failed password for root from A port P ssh2"},
	{110, "sshd", "Received disconnect from A port P:11: Bye Bye [preauth]"},
	{70, "sshd", "Disconnected from authenticating user root A port P [preauth]"},
	{80, "sshd", "Disconnected from invalid user U A port P [preauth]"},
	{40, "sshd", "Connection closed by A port P [preauth]"},
	{30, "sshd", "Connection closed by authenticating user root A port P [preauth]"},
	{10, "sshd", "error: kex_exchange_identification: Connection closed by remote host"},
	{25, "sshd", "Accepted publickey for pi from A port P ssh2: ED25519 SHA256:7T7PiS317baOCIoN0G8sHTytDTFJG4iiWRz09JBJWFY"},
	{25, "sshd", "pam_unix(sshd:session): session opened for user pi(uid=1000) by (uid=0)"},
	{25, "sshd", "pam_unix(sshd:session): session closed for user pi"},
	{20, "systemd-logind", "New session 4711 of user pi."},
	{20, "CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"},
	{20, "CRON", "pam_unix(cron:session): session closed for user root"},
	{14, "sudo", "      pi : TTY=pts/0 ; PWD=/home/pi ; USER=root ; COMMAND=/usr/bin/apt-get update"},
	{1, "sshd", "Authentication refused: bad ownership or modes for directory /home/pi"}, // and its end
}

// machine is what journalctl -o short shows of one that is at home, and of whose
// lines few are of sshd.
var machine = []share{
	{150, "kernel", "brcmfmac: brcmf_cfg80211_set_power_mgmt: power save enabled"},
	{100, "kernel", "usb 1-1.4: new high-speed USB device number P using dwc_otg"},
	{150, "systemd", "Started apt-daily.service - Daily apt download activities."},
	{100, "systemd", "run-docker-runtimeP.mount: Deactivated successfully."},
	{80, "dhcpcd", "wlan0: Router Advertisement from fe80::1"},
	{80, "wpa_supplicant", "wlan0: WPA: Group rekeying completed with 00:11:22:33:44:55 [GTK=CCMP]"},
	{70, "CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"},
	{70, "CRON", "(root) CMD (cd / && run-parts --report /etc/cron.hourly)"},
	{60, "systemd-logind", "New session P of user pi."},
	{50, "dockerd", "time=\"2026-11-01T00:00:00Z\" level=info msg=\"ignoring event\" topic=/tasks/delete"},
	{30, "rsyslogd", "action 'action-8-builtin:omfile' suspended, next retry is Sun Nov  1 00:00:00 2026"},
	{20, "sshd-session", "Accepted publickey for pi from A port P ssh2: ED25519 SHA256:7T7PiS317baOCIoN0G8sHTytDTFJG4iiWRz09JBJWFY"},
	{20, "sshd-session", "pam_unix(sshd:session): session opened for user pi(uid=1000) by (uid=0)"},
	{15, "sshd-session", "pam_unix(sshd:session): session closed for user pi"},
	{4, "sshd-session", "Invalid user U from A port P"},
	{1, "sshd-session", "Authentication refused: bad ownership or modes for directory /home/pi"},
}

// names are those that most attackers try.
var names = strings.Fields("admin test user ubuntu oracle postgres git ftpuser mysql guest debian pi hadoop jenkins deploy dev centos support nagios ftp " +
	"tomcat backup minecraft steam www-data ec2-user odoo ansible elastic sol solana validator node zabbix server es vagrant teamspeak ubnt docker")

func makeLog(w io.Writer, size int, kind string) error {
	shares, journal, stamp := attacked, kind == "json", "2006-01-02T15:04:05.000000-07:00"
	if kind == "machine" {
		shares, stamp = machine, time.Stamp
	}
	out := bufio.NewWriterSize(w, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 2))
	var deck []int
	for i, s := range shares {
		for range s.n {
			deck = append(deck, i)
		}
	}
	closes := 0 // the connection of a process that closes next
	now := time.Date(2026, 11, 1, 0, 0, 0, 719890000, time.UTC)
	var line, message []byte
	for written := 0; written < size; written += len(line) {
		now = now.Add(time.Duration(rnd.IntN(500)) * time.Millisecond)
		s, pid := shares[deck[rnd.IntN(len(deck))]], 1000+rnd.IntN(30000)
		if closes != 0 {
			s.program, s.message, pid, closes = "sshd", "Connection closed by authenticating user pi A port P [preauth]", closes, 0
		} else if strings.HasPrefix(s.message, "Authentication refused") {
			closes = pid
		}
		message = message[:0]
		for i, c := range []byte(s.message) {
			// A letter of its own, between what is no letter.
			alone := (i == 0 || s.message[i-1] == ' ' || s.message[i-1] == '=') && (i+1 == len(s.message) || s.message[i+1] == ' ' || s.message[i+1] == ':')
			switch {
			case alone && c == 'U':
				if rnd.IntN(3) > 0 {
					message = append(message, names[rnd.IntN(len(names))]...)
					break
				}
				message = append(message, "user"...)
				message = strconv.AppendInt(message, rnd.Int64N(1_000_000), 36)
			case alone && c == 'A':
				message = fmt.Appendf(message, "%d.%d.%d.%d", 1+rnd.IntN(223), rnd.IntN(256), rnd.IntN(256), rnd.IntN(256))
			case alone && c == 'P':
				message = strconv.AppendInt(message, 1024+rnd.Int64N(64000), 10)
			default:
				message = append(message, c)
			}
		}
		line = line[:0]
		if journal {
			entry, err := json.Marshal(journalEntry(now, s.program, strconv.Itoa(pid), string(message)))
			if err != nil {
				return err
			}
			line = append(line, entry...)
		} else {
			line = now.AppendFormat(line, stamp)
			line = fmt.Appendf(line, " raspberrypi %s[%d]: %s", s.program, pid, message)
		}
		line = append(line, '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// journalEntry has the fields that journald gives to a line of sshd.
func journalEntry(now time.Time, program, pid, message string) map[string]string {
	micro := strconv.FormatInt(now.UnixMicro(), 10)
	return map[string]string{
		"MESSAGE": message, "SYSLOG_IDENTIFIER": program, "SYSLOG_PID": pid, "_PID": pid, "_COMM": program, "_HOSTNAME": "raspberrypi",
		"__REALTIME_TIMESTAMP": micro, "_SOURCE_REALTIME_TIMESTAMP": micro, "__MONOTONIC_TIMESTAMP": micro[6:], "PRIORITY": "6", "SYSLOG_FACILITY": "4",
		"__CURSOR": "s=3f0f3cbb9ef44d0c9b5d5c9f7a1c2b5e;i=4d2f;b=0c2c0f5a5f0e4b0fa2d2d6f3b7a1c9e8;m=a9c5d9f1;t=5f8e3d3f5f5c1;x=9b5b0b5f7e0c2a4d",
		"_BOOT_ID": "0c2c0f5a5f0e4b0fa2d2d6f3b7a1c9e8", "_MACHINE_ID": "6f3b7a1c9e80c2c0f5a5f0e4b0fa2d2d", "_UID": "0", "_GID": "0",
		"_EXE": "/usr/sbin/sshd", "_CMDLINE": "sshd: pi [priv]", "_CAP_EFFECTIVE": "1ffffffffff", "_SELINUX_CONTEXT": "unconfined\n",
		"_SYSTEMD_CGROUP": "/system.slice/ssh.service", "_SYSTEMD_UNIT": "ssh.service", "_SYSTEMD_SLICE": "system.slice",
		"_SYSTEMD_INVOCATION_ID": "b0fa2d2d6f3b7a1c9e80c2c0f5a5f0e4", "_TRANSPORT": "syslog", "_RUNTIME_SCOPE": "system", "SYSLOG_TIMESTAMP": now.Format("Jan _2 15:04:05 "),
	}
}
