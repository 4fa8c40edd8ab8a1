package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/labctl/labctl/internal/host"
	"github.com/labctl/labctl/internal/session"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/provider/image"
	"github.com/labctl/labctl/schema"
)

func newImage() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Make images before a lab needs them",
	}
	cmd.AddCommand(newImageBuild())
	return cmd
}

func newImageBuild() *cobra.Command {
	return &cobra.Command{
		Use:   "build KIND",
		Short: "Make a built-in image: micro or debian",
		Long: `Makes a built-in image and keeps it in labctl's pool, where every lab whose image block has the same name and
'build' finds it. One that is there and up to date is left as it is.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			helper, err := session.GuestHelper()
			if err != nil {
				return err
			}
			body := &schema.Image{Name: args[0], Build: args[0]}
			body.Key = schema.ImageKey(*body)
			want := []schema.Resource{{Addr: schema.Addr{Kind: "image", Name: args[0]}, Body: body}}
			images := image.New(host.Local{}, session.DataRoot, image.Options{GuestBinary: helper})
			have, err := images.Read(cmd.Context(), "", want)
			if err != nil {
				return err
			}
			var there *provider.Object
			if len(have) > 0 {
				there = &have[0]
			}
			change, err := images.Plan(&want[0], there)
			if err != nil {
				return err
			}
			if change.Action == provider.NoOp {
				fmt.Fprintf(cmd.OutOrStdout(), "The image %s is there and up to date (%s).\n", args[0], body.Key)
				return nil
			}
			if err := images.Apply(cmd.Context(), "", change); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The image %s is made (%s).\n", args[0], body.Key)
			return nil
		},
	}
}
