// Pages of studies are drawn here.
D.study = { start: () => {} };
