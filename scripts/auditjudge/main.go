// Auditjudge judges the home of everybody who has an account on a card as sshd
// would, changes nothing, and prints how many homes it judged and how many
// findings there were. With -local it judges those files as this machine's: the
// accounts are the card's, and the paths lie below DIR.
//
//	auditjudge [-local] DIR
//
// scripts/auditbench measures it beside find and stat.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/strictmodes"
)

func main() {
	local := flag.Bool("local", false, "judge by the paths of this machine")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := judge(context.Background(), flag.Arg(0), *local); err != nil {
		fmt.Fprintln(os.Stderr, "auditjudge:", err)
		os.Exit(1)
	}
}

func judge(ctx context.Context, dir string, local bool) error {
	card, err := hostfs.OpenCard(dir)
	if err != nil {
		return err
	}
	defer card.Close()
	accounts, err := card.Accounts(ctx)
	if err != nil {
		return err
	}
	tree := hostfs.Steady(card)
	if local {
		tree = hostfs.Steady(hostfs.Local())
	}
	found := 0
	for _, who := range accounts {
		if local {
			who.Home = path.Join(dir, who.Home)
		}
		findings, err := strictmodes.Judge(ctx, tree, who, nil, strictmodes.OpenSSH)
		if err != nil {
			return err
		}
		found += len(findings)
	}
	fmt.Printf("%d homes, %d findings\n", len(accounts), found)
	return nil
}
