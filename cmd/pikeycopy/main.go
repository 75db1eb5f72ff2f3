// Command pikeycopy puts public keys into a far authorized_keys and proves
// that they log in. See pikeycopy(1).
package main

import (
	"os"

	"pi-key-tools/pkg/cli"
)

func main() { os.Exit(cli.Run(cli.System("pikeycopy"), run)) }
